"""What an event means to people: how bad it is, which problem begins or ends, and a sentence. Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from webhooks.models import MAX_SUBJECT_LENGTH, Severity
from webhooks.outbound.alerts import kinds

INFO, WARNING, ERROR, CRITICAL = Severity
MAX_TEXT_LENGTH = 1_000
#: Ends of problems of any subject.
ANY = "*"
KINDS = kinds.KINDS


@dataclasses.dataclass(frozen=True, kw_only=True)
class Meaning:
    """What one event means; ``ends`` are pairs of problem and subject."""

    severity: Severity
    text: str
    problem: str
    subject: str
    is_momentary: bool
    ends: tuple[tuple[str, str], ...] = ()


def read(kind: str, data: Any) -> Meaning:
    """Return what an event means; one of an unknown type is described by its name."""
    fields = data if isinstance(data, Mapping) else {}
    if kind == "health.changed":
        return _health(fields)
    if kind == "deployment.failed" and fields.get("needs_attention"):
        return _attention(fields)
    known = KINDS.get(kind)
    if known is None:
        return _plain(INFO, f"{kind}.")
    subject = _subject(fields, known.subject, known.part)
    ends = [(problem, subject) for problem in known.ends]
    ends += [(problem, ANY) for problem in known.ends_all]
    if kind == "service.deregistered":
        ends = [(problem, each) for problem, _ in ends for each in _left(fields)]
    return Meaning(
        severity=known.severity,
        text=_sentence(known.text, fields),
        problem=known.problem,
        subject=subject,
        is_momentary=not known.problem,
        ends=tuple(ends),
    )


def _health(fields: Mapping[str, Any]) -> Meaning:
    subject, new = _subject(fields, "instance_id"), fields.get("new")
    text = _sentence("Instance {instance_id} is {new}, before it was {old}. {note}", fields)
    if new in ("passing", "healthy"):
        meaning = _plain(INFO, text)
        return dataclasses.replace(meaning, ends=(("health", subject), ("check", subject)))
    severity = ERROR if new in ("critical", "unhealthy") else WARNING
    return Meaning(
        severity=severity, text=text, problem="health", subject=subject, is_momentary=False
    )


def _attention(fields: Mapping[str, Any]) -> Meaning:
    return Meaning(
        severity=CRITICAL,
        text=_sentence("{job_id} needs attention: {error}", fields),
        problem="attention",
        subject=_subject(fields, "job_id"),
        is_momentary=False,
        ends=(("paused", ANY),),
    )


def _plain(severity: Severity, text: str) -> Meaning:
    return Meaning(severity=severity, text=text, problem="", subject="", is_momentary=True)


def _left(fields: Mapping[str, Any]) -> list[str]:
    """Return the instances that were deregistered; where none is named, the whole service."""
    named = fields.get("instances")
    return [str(each)[:MAX_SUBJECT_LENGTH] for each in named] if named else [ANY]


def _subject(fields: Mapping[str, Any], *names: str) -> str:
    """Return what the fields say, separated by blanks, which identifiers do not hold."""
    values = [fields.get(name) for name in names if name]
    return " ".join(str(each) for each in values if each is not None)[:MAX_SUBJECT_LENGTH]


def whole_of(subject: str) -> str:
    """Return what a subject is a part of: of a check the instance, else the subject itself."""
    whole, _, _ = subject.partition(" ")
    return whole


class _Fields(dict[str, Any]):
    def __missing__(self, key: str) -> str:
        return ""


def _sentence(template: str, fields: Mapping[str, Any]) -> str:
    """Return the sentence; templates are Saga's own, values are only ever inserted as text."""
    shown = {name: "" if value is None else str(value) for name, value in fields.items()}
    text = template.format_map(_Fields(shown)).strip()
    return text if len(text) <= MAX_TEXT_LENGTH else text[: MAX_TEXT_LENGTH - 1] + "…"
