"""What runs, what could run, and whether that is newer: one comparison for all that ask."""

from __future__ import annotations

import dataclasses
import datetime as dt

from registry.models import Service
from updates import models
from updates.artifacts import store
from updates.history import records
from updates.models import Policy, PolicyRules, Release, SelectorPolicy, Source
from updates.policies import decision

#: What reads the versions of a source best where neither policy nor source names a scheme.
SCHEMES = {Source.Kind.OCI: "docker", Source.Kind.MAVEN: "maven"}


@dataclasses.dataclass(frozen=True)
class CheckResult:
    """``warnings`` say what the answer may lack, such as the end of a list that was too long to read."""

    service_name: str
    current_version: str | None
    latest_version: str | None
    is_update_available: bool
    warnings: tuple[str, ...] = ()


def compare(service: Service) -> CheckResult:
    """Compare what is on record, by the rules of the service's policy."""
    rules, current = rules_of(service), current_version(service)
    releases = Release.objects.available().filter(service=service).order_by("-recorded_at", "-pk")
    latest = decision.latest([candidate(row) for row in releases], rules, current=current)
    is_newer = bool(current and latest and rules.is_newer(latest, than=current))
    return CheckResult(service.name, current, latest, is_newer)


def current_version(service: Service) -> str | None:
    """Return what was deployed last, else what the service last reported, else None."""
    return records.deployed_version(service.name) or service.version or None


def policy_of(service: Service) -> Policy | SelectorPolicy:
    """Return the policy that applies to the service: its own, one by label, or the defaults."""
    return models.policy_of(service)


def rules_of(service: Service, row: PolicyRules | None = None) -> decision.Rules:
    """Return the rules for which releases fit; a policy's scheme and pattern outrank its source's."""
    row = row or policy_of(service)
    source = Source.objects.filter(service=service).order_by("pk").first()
    options = source.options if source is not None and isinstance(source.options, dict) else {}
    by_kind = SCHEMES.get(Source.Kind(source.kind), "auto") if source is not None else "auto"
    scheme, pattern = row.version_scheme or options.get("scheme"), row.version_pattern
    if not pattern and scheme == "regex":
        pattern = str(options.get("version_pattern") or "")
    return decision.Rules(
        kind=row.kind,
        version_range=row.version_range,
        channel=row.channel,
        allows_prereleases=row.allows_prereleases,
        minimum_age=dt.timedelta(seconds=row.minimum_age_seconds),
        scheme=scheme if isinstance(scheme, str) and scheme in decision.SCHEMES else by_kind,
        pattern=pattern,
    )


def candidate(row: Release) -> decision.Candidate:
    return decision.Candidate(
        version=row.version,
        state=row.state,
        state_reason=row.state_reason,
        channel=row.channel,
        needs_channel=row.needs_channel,
        is_prerelease=row.is_marked_prerelease,
        has_artifact=bool(row.artifact_url),
        artifact_problem=row.artifact_problem,
        has_usable_checksum=not row.checksum or store.is_digest(row.checksum),
        published_at=row.published_at,
    )
