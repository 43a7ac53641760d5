"""Pure: one check of one instance, when it is due, and what its results in a row amount to."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

from registry.models import CheckVerdict

Key = tuple[int, str]
JITTER = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    """What is called, how often, and what counts; two that are equal are the same check."""

    service_id: int
    kind: str
    url: str
    port: int | None
    interval_seconds: int
    timeout_seconds: int
    failures_before_critical: int
    successes_before_passing: int
    expected_status: str
    json_pointer: str
    json_value: Any
    certificate_warning_days: int

    def __hash__(self) -> int:
        return hash((self.service_id, self.kind, self.url, self.port))


@dataclass(frozen=True, slots=True, kw_only=True)
class CallResult:
    """What one call found; ``reason`` says why it failed."""

    is_well: bool
    reason: str = ""
    certificate_expires_at: float | None = None


@dataclass(slots=True, kw_only=True)
class InstanceProbe:
    """A check of one instance, as this process makes it."""

    key: Key
    definition: Definition
    verdict: str = CheckVerdict.UNKNOWN
    reason: str = ""
    failures: int = 0
    successes: int = 0
    is_running: bool = False
    #: On the loop's clock; 0 before the first result.
    checked_at: float = 0.0
    certificate_expires_at: float | None = None
    warned_at: float | None = None

    def first_delay(self) -> float:
        """Return the share of the interval that is this probe's own, so that calls are spread over it."""
        return fraction_of(self.key) * self.definition.interval_seconds

    def next_delay(self, *, chance: float) -> float:
        """Return the interval, a tenth more or less; ``chance`` is between 0 and 1."""
        return self.definition.interval_seconds * (1 + JITTER * (2 * chance - 1))

    def evaluate(self, finding: CallResult, *, now: float) -> bool:
        """Count a result; return whether there is a new verdict."""
        self.checked_at = now
        if finding.is_well:
            self.failures, self.successes = 0, self.successes + 1
        else:
            self.failures, self.successes = self.failures + 1, 0
        verdict = self.verdict
        if self.failures >= self.definition.failures_before_critical:
            verdict = CheckVerdict.CRITICAL
        elif self.successes >= self.definition.successes_before_passing:
            verdict = CheckVerdict.PASSING
        is_new = verdict != self.verdict
        if is_new:
            self.verdict, self.reason = verdict, finding.reason
        return is_new

    def notes_certificate(self, finding: CallResult, *, now: float, wall_clock: float) -> bool:
        """Return whether there is another certificate, or one of which to warn again."""
        expires_at = finding.certificate_expires_at
        if expires_at is None:
            return False
        is_other = expires_at != self.certificate_expires_at
        self.certificate_expires_at = expires_at
        days = self.definition.certificate_warning_days
        is_soon = expires_at - wall_clock <= days * 86_400
        is_due = self.warned_at is None or now - self.warned_at >= 86_400
        if days and is_soon and is_due:
            self.warned_at = now
            return True
        return is_other


def fraction_of(key: Key) -> float:
    """Return a number between 0 and 1 that is the same for the key in every process."""
    digest = hashlib.blake2b(f"{key[0]}/{key[1]}".encode(), digest_size=8).digest()
    return int.from_bytes(digest) / 2**64


def holder_of(key: Key, tokens: list[str]) -> str:
    """Return the process that has the key: of one that leaves, only its own keys move."""
    return max(
        tokens,
        key=lambda token: hashlib.blake2b(
            f"{token}/{key[0]}/{key[1]}".encode(), digest_size=8
        ).digest(),
    )
