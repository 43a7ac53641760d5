"""Make one call and say what it found."""

from __future__ import annotations

import functools
from typing import Any

from registry.background.checking.probe import CallResult, Definition
from registry.models import HealthCheck
from registry.operations import health_checks
from saga_project.shared import errors, strict_json
from saga_project.shared.http_client import exchanges, probing, urls

PURPOSE = "health check"
_MISSING = object()


async def make(
    definition: Definition, *, kept: exchanges.KeptConnections | None = None
) -> CallResult:
    """Call; whatever goes wrong with the other side is a finding, and no error."""
    try:
        url = _parsed(definition.url)
        if definition.kind == HealthCheck.Kind.TCP:
            await probing.connect(
                url.host,
                definition.port or url.port,
                purpose=PURPOSE,
                timeout_seconds=definition.timeout_seconds,
            )
            return CallResult(is_well=True)
        answer = await probing.fetch(
            url,
            purpose=PURPOSE,
            timeout_seconds=definition.timeout_seconds,
            wants_body=bool(definition.json_pointer),
            kept=kept,
        )
    except errors.SagaError as exc:
        return CallResult(is_well=False, reason=exc.message)
    reason = _fault(definition, answer)
    return CallResult(
        is_well=not reason, reason=reason, certificate_expires_at=answer.certificate_expires_at
    )


def _fault(definition: Definition, answer: probing.ProbeAnswer) -> str:
    if not any(answer.status in statuses for statuses in _ranges(definition.expected_status)):
        return f"The answer was {answer.status}, not {definition.expected_status}."
    if not definition.json_pointer:
        return ""
    try:
        document = strict_json.loads(answer.body or b"")
    except ValueError:
        return "The answer is not JSON."
    found = at_pointer(document, definition.json_pointer)
    if found is _MISSING:
        return f"The answer has nothing at {definition.json_pointer}."
    wanted = definition.json_value
    if wanted is not None and not _is_same(found, wanted):
        return f"The answer has another value at {definition.json_pointer}."
    return ""


@functools.lru_cache(maxsize=20_000)
def _parsed(text: str) -> urls.Url:
    return urls.parse(text, field=f"{PURPOSE} URL")


_ranges = functools.lru_cache(maxsize=1000)(health_checks.ranges_of)


def at_pointer(document: Any, pointer: str) -> Any:
    """Return what a JSON pointer (RFC 6901) leads to, ``_MISSING`` where that is nothing."""
    here = document
    for part in pointer.split("/")[1:]:
        name = part.replace("~1", "/").replace("~0", "~")
        if isinstance(here, dict) and name in here:
            here = here[name]
        elif isinstance(here, list) and name.isascii() and name.isdecimal() and len(name) < 8:
            if int(name) >= len(here):
                return _MISSING
            here = here[int(name)]
        else:
            return _MISSING
    return here


def _is_same(found: Any, wanted: Any) -> bool:
    return bool(found == wanted) and isinstance(found, bool) == isinstance(wanted, bool)
