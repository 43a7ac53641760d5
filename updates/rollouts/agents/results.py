"""What a step found on its node, as its agent reports it: the node speaks for itself only.

A node that was taken over reports what it likes. What other nodes go by, such as the digest of the artifact,
must be what they would have found as well.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from saga_project.shared import rules
from updates.artifacts.installers import staging
from updates.models import Job
from updates.rollouts import actions, planning
from updates.step_context import Outcome, StepContext, StepFailed

MAX_PATH_LENGTH = 1024
#: Said by the job, because only the first node was asked.
UNCHECKED = (
    "The release has no checksum and needs no signature: this node's digest counts for all others."
)
_SHA256 = re.compile(r"(?:[0-9a-f]{64})?", re.ASCII)

Check = Callable[[Any], bool]


def _is_digest(value: Any) -> bool:
    return isinstance(value, str) and _SHA256.fullmatch(value) is not None


def _is_size(value: Any) -> bool:
    return type(value) is int and 0 <= value < 2**63


def _is_flag(value: Any) -> bool:
    return isinstance(value, bool)


def _is_version(value: Any) -> bool:
    return value is None or (isinstance(value, str) and rules.VERSION.matches(value))


def _is_path(value: Any) -> bool:
    return isinstance(value, str) and value.isprintable() and len(value) <= MAX_PATH_LENGTH


#: What each step may report; the others report nothing.
_REPORTED: Mapping[str, Mapping[str, Check]] = {
    planning.FETCH: {"sha256": _is_digest, "size": _is_size, "is_on_disk": _is_flag},
    planning.BACK_UP: {"previous": _is_version, "backup_path": _is_path},
    actions.STOP: {"may_still_run": _is_flag},
}


def outcome_of(answer: Mapping[str, Any], context: StepContext, action: str) -> Outcome:
    """Return the outcome that an agent reported for a step that ended well; raises StepFailed."""
    result = _read(answer.get("result") or {}, context, action)
    message = str(answer.get("message", ""))
    return Outcome(
        message=f"{message} {UNCHECKED}".strip() if _is_decided(result, context) else message,
        result=result,
        is_skipped=bool(answer.get("is_skipped")),
    )


def _is_decided(result: Mapping[str, Any], context: StepContext) -> bool:
    """Whether the node decides which digest all others must find: nothing else says what the artifact is."""
    is_announced = context.artifact_sha256 or context.checksum or context.is_signature_required
    return bool(result.get("sha256")) and not is_announced


def _read(result: Mapping[str, Any], context: StepContext, action: str) -> dict[str, Any]:
    checks = _REPORTED.get(action, {})
    for name, value in result.items():
        if name not in checks or not checks[name](value):
            raise StepFailed(f"The agent reports {name[:64]!r}, which is no result of {action}.")
    known = dict(result)
    expected = context.artifact_sha256 or staging.announced_sha256(context)
    if not expected or known.get("sha256", "") in ("", expected):
        return known
    if known.get("is_on_disk") and context.kind == Job.Kind.ROLLBACK:
        # What lies on this node since an earlier deployment says nothing to the others.
        del known["sha256"]
        return known
    raise StepFailed(
        f"The agent fetched sha256:{known['sha256']}; the artifact is sha256:{expected}."
    )
