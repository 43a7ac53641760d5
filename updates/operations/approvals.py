"""Deployments and rollbacks that are asked for, where the policy wants more than one person."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

from django.db import transaction
from django.utils import timezone

from registry import events
from registry.models import Service
from saga_project.shared import transitions
from updates import errors, event_constructors
from updates.history import audit, records
from updates.models import Approval, Job, Release
from updates.operations import decisions, jobs, rollback_targets, selections
from updates.policies import change_freeze, comparison
from updates.releases import recording
from updates.rollouts import strategies


def deploy_or_ask(
    service: Service,
    announcement: recording.Announcement,
    *,
    by: str,
    strategy: str = strategies.ROLLING,
    options: Mapping[str, Any] | None = None,
    details: selections.Details = selections.NO_DETAILS,
    exemptions: change_freeze.GateExemptions = change_freeze.NO_EXEMPTIONS,
) -> Job | Approval:
    """Queue a deployment, or, where the policy wants a second person, ask for one. Raises as ``deploy``."""
    try:
        return jobs.deploy(
            service,
            announcement,
            by=by,
            strategy=strategy,
            options=options,
            details=details,
            exemptions=exemptions,
        )
    except errors.ApprovalRequired:
        with transaction.atomic():
            release = recording.record(service, announcement, origin="deployed", by=by)[0]
            return request(
                release,
                by=by,
                strategy=strategy,
                options=options,
                details=details,
                force_reason=exemptions.force_reason,
                now=timezone.now(),
            )


def roll_back_or_ask(
    service: Service,
    version: str | None = None,
    *,
    by: str,
    options: Mapping[str, Any] | None = None,
    details: selections.Details = selections.NO_DETAILS,
    exemptions: change_freeze.GateExemptions = change_freeze.NO_EXEMPTIONS,
) -> Job | Approval:
    """The same for a rollback. Raises as ``roll_back``."""
    try:
        return jobs.roll_back(
            service, version, by=by, options=options, details=details, exemptions=exemptions
        )
    except errors.ApprovalRequired:
        with transaction.atomic():
            current = records.deployed_version(service.name)
            wanted = rollback_targets.choose(service, version, current=current)
            known = Release.objects.filter(service=service, version=wanted).first()
            backup = recording.Announcement(version=wanted)
            release = known or recording.record(service, backup, origin="backup")[0]
            kind = Job.Kind.ROLLBACK
            return request(
                release,
                by=by,
                strategy="",
                kind=kind,
                options=options,
                details=details,
                now=timezone.now(),
            )


def request(
    release: Release,
    *,
    by: str,
    strategy: str,
    kind: str = Job.Kind.DEPLOY,
    options: Mapping[str, Any] | None = None,
    details: selections.Details = selections.NO_DETAILS,
    force_reason: str | None = None,
    now: dt.datetime,
) -> Approval:
    """Ask for a deployment or rollback that a second person must approve.

    The same again by the same requester is one request. Raises ApprovalPending for another one.
    """
    asked = {
        "release": release,
        "kind": kind,
        "requested_by": by,
        "strategy": strategy,
        "strategy_options": None if options is None else dict(options),
        "details": details.document(),
        "force_reason": force_reason or "",
    }
    with transaction.atomic():  # not durable: a webhook keeps its call in the same transaction
        # One at a time a service, so that two people do not both ask.
        service = Service.objects.select_for_update(no_key=True).get(pk=release.service_id)
        decisions.expire(now=now, service=service)
        pending = Approval.objects.filter(service=service, state=Approval.State.PENDING)
        for known in pending.exclude(requested_by="").select_related("release"):
            if all(getattr(known, name) == value for name, value in asked.items()):
                return known
            raise errors.ApprovalPending(
                f"'{known.requested_by}' asked for {known.release.version} already; that waits for an answer."
            )
        transitions.move_rows(pending, Approval.State.SUPERSEDED, decided_at=now)
        terms = decisions.terms_of(comparison.policy_of(service), now=now)
        approval = Approval.objects.create(service=service, requested_at=now, **terms, **asked)
        events.publish(event_constructors.update_waits(service.name, version=release.version))
        data = {"version": release.version, "strategy": strategy, "kind": str(kind)}
        audit.record("update.requested", actor=by, service_name=service.name, data=data, at=now)
    return approval
