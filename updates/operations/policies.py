"""Do what the plan says: nothing, ask staff, or deploy."""

from __future__ import annotations

import datetime as dt
import logging

from django.db import transaction
from django.db.models import Q, QuerySet

from registry import events
from registry.models import Service
from saga_project.shared import labels, transitions
from updates import event_constructors
from updates.models import Approval, Policy, Release, SelectorPolicy
from updates.operations import decisions, jobs
from updates.policies import change_freeze, preview
from updates.policies.decision import Decision
from updates.releases import recording

logger = logging.getLogger(__name__)


def apply_policy(service: Service, *, now: dt.datetime) -> Decision:
    """Act on what ``plans.plan`` says now; a second time changes nothing more."""
    plan = preview.plan(service, now=now)
    if plan.decision.action == "approve":
        _ask_staff(plan, now=now)
    elif plan.decision.action == "deploy":
        _deploy(plan)
    return plan.decision


@transaction.atomic(durable=True)
def _ask_staff(plan: preview.Plan, *, now: dt.datetime) -> None:
    """Ask about the one release that the plan names; what was asked before and not answered is moot."""
    # One at a time a service, so that two sweeps do not both ask.
    Service.objects.select_for_update(no_key=True).get(pk=plan.service.pk)
    release = Release.objects.get(service=plan.service, version=plan.decision.version)
    decisions.expire(now=now, service=plan.service)
    pending = Approval.objects.filter(service=plan.service, state=Approval.State.PENDING)
    if pending.exclude(requested_by="").exists():
        return  # a person asked, and waits for an answer
    others = pending.exclude(release=release)
    transitions.move_rows(others, Approval.State.SUPERSEDED, decided_at=now)
    _, is_new = Approval.objects.get_or_create(
        service=plan.service,
        release=release,
        state=Approval.State.PENDING,
        defaults={"requested_at": now, **decisions.terms_of(plan.policy, now=now)},
    )
    if is_new:
        events.publish(event_constructors.update_waits(plan.service.name, version=release.version))


def _deploy(plan: preview.Plan) -> None:
    version = plan.decision.version or ""
    approval = (
        Approval.objects.filter(
            service=plan.service, release__version=version, state=Approval.State.APPROVED
        )
        .order_by("-decided_at")
        .first()
    )
    by = f"policy {plan.policy.kind}" + (f", approved by {approval.decided_by}" if approval else "")
    job = jobs.deploy(
        plan.service,
        recording.Announcement(version=version),
        by=by[:255],
        strategy=plan.policy.strategy,
        options=plan.policy.strategy_options,
        exemptions=change_freeze.GateExemptions(is_approved=True),
    )
    if approval is not None:
        Approval.objects.filter(pk=approval.pk).update(job_id=job.job_id)


def apply_policies(*, now: dt.datetime) -> None:
    """Expire old requests, and apply every policy that acts by itself.

    Windows open, releases come of age, wake-ups get lost.
    """
    decisions.expire(now=now)
    for service in _with_acting_policy().order_by("name").iterator():
        try:
            apply_policy(service, now=now)
        except Exception:
            # One service must not keep the others from their updates.
            logger.exception("policy not applied", extra={"service": service.name})


def _with_acting_policy() -> QuerySet[Service]:
    """Return the services whose own policy acts by itself, or, without one, some that selects them."""
    acting = [Policy.Kind.AUTO, Policy.Kind.APPROVE]
    found = Q(policy__kind__in=acting)
    for row in SelectorPolicy.objects.filter(kind__in=acting):
        if labels.SELECTOR.fault(row.selector) is None:
            found |= Q(policy=None) & labels.parse(row.selector).condition()
    return Service.objects.filter(found)
