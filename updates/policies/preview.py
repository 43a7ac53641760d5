"""Preview a service's update: rows in, the policy's decision out. Changes nothing."""

from __future__ import annotations

import dataclasses
import datetime as dt
import zoneinfo
from dataclasses import dataclass

from django.db.models import Count, Max, Q

from registry.models import Service
from updates.models import (
    Approval,
    Freeze,
    HistoryEntry,
    Hold,
    Job,
    MaintenanceWindow,
    Policy,
    PolicyRules,
    Release,
    SelectorPolicy,
    Target,
)
from updates.policies import calendar, comparison, coverage
from updates.policies import decision as policies


@dataclass(frozen=True)
class Plan:
    service: Service
    policy: Policy | SelectorPolicy
    current_version: str | None
    latest_version: str | None
    decision: policies.Decision
    is_update_available: bool = False
    calendar: calendar.Calendar = dataclasses.field(default_factory=calendar.Calendar)
    windows: tuple[MaintenanceWindow, ...] = ()
    #: Those that are not over.
    freezes: tuple[Freeze, ...] = ()

    @property
    def offer(self) -> comparison.CheckResult:
        """What ``comparison.compare`` answers, out of the same rows."""
        return comparison.CheckResult(
            self.service.name, self.current_version, self.latest_version, self.is_update_available
        )


def plan(service: Service, *, now: dt.datetime) -> Plan:
    row = comparison.policy_of(service)
    inputs, rules = _inputs(service, row, now=now), comparison.rules_of(service, row)
    windows, freezes = coverage.windows_of(service), coverage.freezes_of(service)
    applying = _calendar(windows, freezes)
    decision = policies.decide(rules, inputs, applying, now=now)
    latest = policies.latest(inputs.candidates, rules, current=inputs.current)
    current = inputs.current
    is_newer = bool(current and latest and rules.is_newer(latest, than=current))
    standing = (each for each in freezes if _freeze(each).ends_at > now)
    return Plan(
        service,
        row,
        current,
        latest,
        decision,
        is_newer,
        calendar=applying,
        windows=tuple(windows),
        freezes=tuple(standing),
    )


def calendar_of(service: Service) -> calendar.Calendar:
    """Return the windows and freezes that apply to the service."""
    return _calendar(coverage.windows_of(service), coverage.freezes_of(service))


def _calendar(windows: list[MaintenanceWindow], freezes: list[Freeze]) -> calendar.Calendar:
    return calendar.Calendar(
        windows=tuple(map(_window, windows)), freezes=tuple(map(_freeze, freezes))
    )


def _window(row: MaintenanceWindow) -> calendar.Window:
    return calendar.Window(
        name=row.name,
        weekdays=frozenset(row.weekdays),
        opens_at=row.opens_at,
        duration=dt.timedelta(minutes=row.duration_minutes),
        zone=zoneinfo.ZoneInfo(row.time_zone),
    )


def _freeze(row: Freeze) -> calendar.FreezePeriod:
    zone = zoneinfo.ZoneInfo(row.time_zone)
    return calendar.FreezePeriod(
        name=row.name,
        starts_at=calendar.instant(row.starts_on, row.starts_at, zone),
        ends_at=calendar.instant(row.ends_on, row.ends_at, zone, is_second=True),
    )


def _inputs(service: Service, policy: PolicyRules, *, now: dt.datetime) -> policies.DecisionInputs:
    covers = list(Hold.objects.filter(service=service).filter(_is_in_force(now)))
    snoozes = [hold.expires_at for hold in covers if not hold.version and hold.expires_at]
    releases = list(Release.objects.filter(service=service).order_by("-recorded_at", "-pk"))
    live = Job.objects.filter(service=service).locking().order_by("-created_at").first()
    return policies.DecisionInputs(
        current=comparison.current_version(service),
        candidates=_candidates(service, releases, policy),
        live_job=live.job_id if live else None,
        snoozed_until=max(snoozes, default=None),
        skipped=_skips(covers),
        failures=_failures(service, releases),
        approvals=_approvals(service),
    )


def _candidates(
    service: Service, releases: list[Release], policy: PolicyRules
) -> list[policies.Candidate]:
    """Return the releases, each with what keeps a target of the service from installing it."""
    rows = service.targets.filter(is_automatic=False, parent=None, is_enabled=True).order_by(
        "position", "name"
    )
    targets = list(rows) or [Target(service=service, name="local")]
    return [
        dataclasses.replace(
            comparison.candidate(row),
            target_problem=_target_problem(row, targets),
            missing_proof=_missing_proof(row, policy),
        )
        for row in releases
    ]


def _missing_proof(row: Release, policy: PolicyRules) -> str:
    if policy.requires_checksum and not row.checksum:
        return "checksum"
    return "signature" if policy.requires_signature and not row.signature else ""


def verification(policy: PolicyRules) -> str:
    """Return the sentence on what the policy demands of an artifact before it is installed."""
    if policy.requires_signature:
        return "The policy demands a signature by one of its keys."
    if policy.requires_checksum:
        return "The policy demands a checksum."
    return (
        "The policy demands neither a checksum nor a signature: an artifact without them is installed"
        " unverified."
    )


def _target_problem(row: Release, targets: list[Target]) -> str:
    obstacles = (target.obstacle(row.artifact_type) for target in targets)
    return next((f"It {obstacle}" for obstacle in obstacles if obstacle), "")


def _is_in_force(now: dt.datetime) -> Q:
    return Q(expires_at=None) | Q(expires_at__gt=now)


def _skips(covers: list[Hold]) -> dict[str, dt.datetime | None]:
    """Of several skips of one version the longest counts; None is for good."""
    ends: dict[str, list[dt.datetime | None]] = {}
    for hold in covers:
        if hold.version:
            ends.setdefault(hold.version, []).append(hold.expires_at)
    return {
        version: None if None in found else max(end for end in found if end)
        for version, found in ends.items()
    }


def _failures(service: Service, releases: list[Release]) -> dict[str, policies.Failures]:
    """Count each version's failed deployments in history since its state was last changed by staff."""
    rows = (
        HistoryEntry.objects.filter(
            service_name=service.name,
            status=HistoryEntry.Status.FAILED,
            kind=HistoryEntry.Kind.DEPLOY,
        )
        .standing()
        .values("new_version")
        .annotate(count=Count("id"), last_at=Max("timestamp"))
        .order_by("new_version")
        .values_list("new_version", "count", "last_at")
    )
    moved = {release.version: release.state_changed_at for release in releases}
    return {
        version: policies.Failures(count=count, last_at=last_at)
        for version, count, last_at in rows
        if version and (moved.get(version) or last_at) <= last_at
    }


def _approvals(service: Service) -> dict[str, str]:
    """Return the latest word on each version; what was superseded was never decided.

    That the request of a person expired does not concern the policy.
    """
    rows = (
        Approval.objects.filter(service=service)
        .exclude(state=Approval.State.SUPERSEDED)
        .exclude(~Q(requested_by=""), state=Approval.State.EXPIRED)
        .order_by("requested_at", "pk")
        .values_list("release__version", "state")
    )
    return dict(rows)
