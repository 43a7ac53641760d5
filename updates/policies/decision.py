"""Pure: what a service's policy says should happen now, why, and when to look again.

A release is eligible when it is newer than what runs, available, has an artifact, and fits range, channel,
pre-releases, holds, approvals and age. The newest eligible one is taken; where a newer one is only too
young, the newest that is old enough goes first, as a cooldown means it.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from saga_project.shared import versions
from updates.policies.calendar import Calendar

#: After a failed attempt, the next one waits so long, doubled each time; then people must look.
RETRY_AFTER = dt.timedelta(minutes=15)
MAX_ATTEMPTS = 3
SCHEMES = versions.NAMES
#: npm's name of the tag that it installs by default.
DEFAULT_CHANNEL = "latest"


@dataclass(frozen=True, kw_only=True)
class Rules:
    kind: str = "manual"
    version_range: str = ""
    channel: str = ""
    allows_prereleases: bool = False
    minimum_age: dt.timedelta = dt.timedelta(0)
    scheme: str = versions.AUTO
    pattern: str = ""

    def is_newer(self, version: str, *, than: str) -> bool:
        return versions.is_newer(version, than=than, scheme=self.scheme, pattern=self.pattern)

    def reads(self, version: str) -> bool:
        return versions.read(version, self.scheme, self.pattern) is not None

    def is_prerelease(self, version: str) -> bool:
        return versions.is_prerelease(version, self.scheme, self.pattern)

    def rank(self, version: str) -> versions.Key:
        return versions.rank(version, self.scheme, self.pattern)


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A release on record; ``published_at`` is its source's own time, None where it gave none."""

    version: str
    state: str = "available"
    state_reason: str = ""
    channel: str = ""
    #: Only a policy that names its channel takes it, as npm's versions above ``latest``.
    needs_channel: bool = False
    #: Its source says so; what its version says is read by the rules.
    is_prerelease: bool = False
    has_artifact: bool = True
    #: Why there is no artifact, where its source has files but none that can be chosen.
    artifact_problem: str = ""
    has_usable_checksum: bool = True
    #: What the policy asks for and the release lacks: a checksum, a signature.
    missing_proof: str = ""
    #: Why a target of the service cannot install it.
    target_problem: str = ""
    published_at: dt.datetime | None = None


@dataclass(frozen=True, kw_only=True)
class Failures:
    count: int
    last_at: dt.datetime


@dataclass(frozen=True, kw_only=True)
class DecisionInputs:
    """The inputs of a decision. ``skipped`` maps versions to the end of the skip, None for good."""

    current: str | None
    candidates: Sequence[Candidate]
    live_job: str | None = None
    snoozed_until: dt.datetime | None = None
    skipped: Mapping[str, dt.datetime | None] = field(default_factory=dict)
    failures: Mapping[str, Failures] = field(default_factory=dict)
    #: pending, approved, rejected or expired, of each version that staff were asked about last.
    approvals: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Evaluation:
    """``eligible_at`` is when time alone makes it eligible, None where that is not known, or never."""

    version: str
    obstacle: str | None
    eligible_at: dt.datetime | None = None
    may_change: bool = False


@dataclass(frozen=True)
class Decision:
    """``action`` is none, wait, approve (ask staff) or deploy; ``next_at`` is when time may change it."""

    action: str
    reason: str
    version: str | None = None
    next_at: dt.datetime | None = None
    evaluations: tuple[Evaluation, ...] = ()


def decide(
    rules: Rules, inputs: DecisionInputs, calendar: Calendar, *, now: dt.datetime
) -> Decision:
    newer = _newer_first(inputs, rules)
    evaluations = tuple(_evaluate(candidate, rules, inputs, now) for candidate in newer)
    decision = _decide(evaluations, rules, inputs, calendar, now)
    return Decision(
        decision.action, decision.reason, decision.version, decision.next_at, evaluations
    )


def latest(candidates: Sequence[Candidate], rules: Rules, *, current: str | None) -> str | None:
    """Return the newest version that the rules accept, of those that can follow what runs."""
    fit = [one for one in candidates if rule_obstacle(one, rules) is None]
    comparable = _of_one_line(fit, rules, current)
    newest = max(comparable, key=lambda one: rules.rank(one.version), default=None)
    return None if newest is None else newest.version


def _newer_first(inputs: DecisionInputs, rules: Rules) -> list[Candidate]:
    current = inputs.current
    newer = [
        one
        for one in _of_one_line(inputs.candidates, rules, current)
        if current is None or rules.is_newer(one.version, than=current)
    ]
    return sorted(newer, key=lambda one: rules.rank(one.version), reverse=True)


def _of_one_line(
    candidates: Sequence[Candidate], rules: Rules, current: str | None
) -> list[Candidate]:
    """Return what has an order with ``current``; with nothing to compare, plain versions come first."""
    readings = [
        (one, versions.read(one.version, rules.scheme, rules.pattern)) for one in candidates
    ]
    known = [(one, found) for one, found in readings if found is not None]
    running = None if current is None else versions.read(current, rules.scheme, rules.pattern)
    if current is None or running is None or running.is_only_a_name:
        plain = [one for one, found in known if found.is_version and not found.line]
        return plain or [one for one, _ in known]
    return [
        one
        for one, found in known
        if found.line == running.line and found.is_version == running.is_version
    ]


# --- One release ----------------------------------------------------------------------------------


def _evaluate(
    candidate: Candidate, rules: Rules, inputs: DecisionInputs, now: dt.datetime
) -> Evaluation:
    if obstacle := _lasting_obstacle(candidate, rules, inputs):
        return Evaluation(candidate.version, obstacle)
    skip_ends_at = inputs.skipped.get(candidate.version, now)
    if skip_ends_at is None:
        return Evaluation(candidate.version, "It is skipped.")
    if skip_ends_at > now:
        return Evaluation(
            candidate.version, "It is skipped for now.", skip_ends_at, may_change=True
        )
    return _check_age(candidate, rules, now)


def _lasting_obstacle(candidate: Candidate, rules: Rules, inputs: DecisionInputs) -> str | None:
    """Return what time alone will not change."""
    if obstacle := rule_obstacle(candidate, rules):
        return obstacle
    if not candidate.has_artifact:
        return candidate.artifact_problem or "Its source names no artifact to install."
    if not candidate.has_usable_checksum:
        return "Its checksum is no digest, so the artifact cannot be verified."
    if candidate.missing_proof:
        return f"The policy asks for a {candidate.missing_proof}, and the release has none."
    if candidate.target_problem:
        return candidate.target_problem
    if inputs.approvals.get(candidate.version) == "rejected":
        return "Staff rejected it."
    if rules.kind == "approve" and inputs.approvals.get(candidate.version) == "expired":
        return "Its approval was not given in time; announce it again to ask anew."
    failures = inputs.failures.get(candidate.version)
    if failures and failures.count >= MAX_ATTEMPTS:
        return f"Deploying it failed {failures.count} times; staff must look at it."
    return None


def rule_obstacle(candidate: Candidate, rules: Rules) -> str | None:
    """Return which rule keeps the release out; what has none is offered as an update."""
    if candidate.state != "available":
        return f"It is {candidate.state}: {candidate.state_reason}".rstrip(": ")
    if not rules.reads(candidate.version):
        return f"It is no version in the scheme {rules.scheme}."
    wanted = versions.parse_range(rules.version_range)
    if not wanted.allows(candidate.version, rules.scheme, rules.pattern):
        return f"It is outside the range {rules.version_range}."
    if obstacle := _channel_obstacle(candidate, rules):
        return obstacle
    is_prerelease = candidate.is_prerelease or rules.is_prerelease(candidate.version)
    if is_prerelease and not rules.allows_prereleases:
        return "It is a pre-release."
    return None


def _channel_obstacle(candidate: Candidate, rules: Rules) -> str | None:
    if rules.channel == DEFAULT_CHANNEL and not candidate.channel:
        return "It is newer than the channel latest." if candidate.needs_channel else None
    if rules.channel and candidate.channel != rules.channel:
        return f"It is not in the channel {rules.channel}."
    if not rules.channel and candidate.needs_channel:
        named = (
            f"It is in the channel {candidate.channel}" if candidate.channel else "It is in none"
        )
        return f"{named}, and the policy names no channel; its source recommends an older version."
    return None


def _check_age(candidate: Candidate, rules: Rules, now: dt.datetime) -> Evaluation:
    if not rules.minimum_age:
        return Evaluation(candidate.version, None)
    if candidate.published_at is None:
        reason = "Its source gives no time of publication, so its age is unknown."
        return Evaluation(candidate.version, reason, may_change=True)
    old_enough_at = candidate.published_at + rules.minimum_age
    if old_enough_at > now:
        return Evaluation(candidate.version, "It is too young.", old_enough_at, may_change=True)
    return Evaluation(candidate.version, None)


# --- All of them ----------------------------------------------------------------------------------


def _decide(
    evaluations: Sequence[Evaluation],
    rules: Rules,
    inputs: DecisionInputs,
    calendar: Calendar,
    now: dt.datetime,
) -> Decision:
    if rules.kind == "manual":
        return Decision("none", "The policy is manual.")
    if rules.kind == "pinned":
        return Decision("none", "The service is pinned to what it runs.")
    if inputs.live_job:
        return Decision("wait", f"{inputs.live_job} is under way.")
    if inputs.snoozed_until and inputs.snoozed_until > now:
        return Decision("wait", "Updates are snoozed.", next_at=inputs.snoozed_until)
    if not evaluations:
        return Decision("none", "Nothing newer is known.")
    best = next((evaluation for evaluation in evaluations if evaluation.obstacle is None), None)
    if best is None:
        return _wait_for_eligibility(evaluations)
    return _decide_on(best.version, rules, inputs, calendar, now)


def _wait_for_eligibility(evaluations: Sequence[Evaluation]) -> Decision:
    """Name the release that becomes eligible first, else the newest that still may, else the newest."""
    coming = [
        (found.eligible_at, place) for place, found in enumerate(evaluations) if found.eligible_at
    ]
    hopeful = [evaluation for evaluation in evaluations if evaluation.may_change]
    named = evaluations[min(coming)[1]] if coming else (hopeful or evaluations)[0]
    action = "wait" if named.may_change else "none"
    return Decision(action, f"{named.version}: {named.obstacle}", named.version, named.eligible_at)


def _decide_on(
    version: str, rules: Rules, inputs: DecisionInputs, calendar: Calendar, now: dt.datetime
) -> Decision:
    if rules.kind == "approve":
        approval = inputs.approvals.get(version)
        if approval is None:
            return Decision("approve", f"{version} needs an approval.", version)
        if approval == "pending":
            return Decision("wait", f"{version} waits for its approval.", version)
    failures = inputs.failures.get(version)
    if failures:
        retry_at = failures.last_at + RETRY_AFTER * 2 ** (failures.count - 1)
        if retry_at > now:
            return Decision(
                "wait", f"Deploying {version} failed; it is tried again.", version, retry_at
            )
    verdict = calendar.evaluate(now)
    if not verdict.is_open:
        return Decision("wait", verdict.reason, version, verdict.opens_at)
    return Decision("deploy", f"{version} is the newest eligible release.", version)
