"""The actions on a service in its current state, with their consequences."""

from __future__ import annotations

import dataclasses
import datetime as dt
from functools import partial

from django.contrib.auth.models import AbstractUser
from django.urls import reverse

import registry.operations
import updates.operations
from registry.identity import accounts
from registry.models import Service, Subscription
from saga_project.console import obstacles, overrides, roles, service_labels, service_maintenance
from saga_project.shared.admin.verbs import ButtonVerb, Choice, Form, Verb
from updates.models import Approval, Job, PolicyRules, Release
from updates.policies import comparison, preview
from updates.policies.calendar import Verdict
from updates.rollouts import strategies

RELEASES_OFFERED = 20
Done = tuple[str, str | None]


def of(
    service: Service, *, user: AbstractUser, now: dt.datetime, plan: preview.Plan | None = None
) -> list[ButtonVerb]:
    """Return every button that the service's state offers, before permissions are checked.

    A ``plan`` that is at hand saves its queries.
    """
    by = user.get_username()
    status = Service.Status(service.status)
    verbs = []
    if status in (Service.Status.PENDING_APPROVAL, Service.Status.REJECTED):
        verbs.append(_approve(service, by, now))
    blocking = Job.objects.filter(service=service).locking().order_by("-id").first()
    verbs += [
        _blocked(verb, obstacles.of_job(blocking)) for verb in _updates(service, user, now, plan)
    ]
    verbs.append(_check(service))
    if status in (*Service.APPROVED, Service.Status.PENDING_APPROVAL):
        verbs.append(_reject(service, by, now))
    verbs += service_maintenance.verbs_of(service, by=by, now=now)
    verbs.append(service_labels.verb_of(service, user=user, now=now))
    if status != Service.Status.DEREGISTERED:
        verbs.append(_deregister(service, by, now))
    return verbs


def _link(service: Service, verb: str) -> str:
    return reverse("admin:console_service_verb", args=[service.name, verb])


def _approve(service: Service, by: str, now: dt.datetime) -> ButtonVerb:
    def does(_: Form) -> Done:
        registry.operations.approve(service.name, by=by, now=now)
        return f"{service.name} is approved: lookups find it.", None

    return Verb(
        name="approve",
        label="Approve",
        icon="check",
        permission=roles.APPROVE_SERVICE,
        link=_link(service, "approve"),
        is_primary=True,
        consequences=[
            "Lookups, lists and Prometheus find the service from now on, while it sends heartbeats.",
            "Subscribers get the event service.approved.",
        ],
        does=does,
    )


def _reject(service: Service, by: str, now: dt.datetime) -> ButtonVerb:
    def does(form: Form) -> Done:
        registry.operations.reject(service.name, by=by, reason=form["reason"], now=now)
        return f"{service.name} is rejected.", None

    return Verb(
        name="reject",
        label="Reject",
        icon="block",
        permission=roles.APPROVE_SERVICE,
        link=_link(service, "reject"),
        is_danger=True,
        consequences=[
            "No lookup finds the service any more; its heartbeats are still recorded.",
            "Its owner sees the reason in the answers to its heartbeats and on this page.",
        ],
        choices=[Choice(name="reason", label="Reason", is_long=True, is_required=True)],
        does=does,
    )


def _updates(
    service: Service, user: AbstractUser, now: dt.datetime, plan: preview.Plan | None
) -> list[ButtonVerb]:
    releases = list(
        Release.objects.filter(service=service)
        .available()
        .exclude(artifact_url="")
        .order_by("-recorded_at", "-id")[:RELEASES_OFFERED]
    )
    has_jobs = service.jobs.exists()
    if not releases and not has_jobs:
        return []
    policy = plan.policy if plan is not None else comparison.policy_of(service)
    calendar = plan.calendar if plan is not None else preview.calendar_of(service)
    verdict = calendar.evaluate(now)
    no_deployment, no_rollback = obstacles.of_targets(service, releases)
    verbs = []
    if releases:
        verb = _deploy(service, releases, user, policy, verdict)
        verbs.append(_blocked(verb, no_deployment))
    if has_jobs:
        verbs.append(_blocked(_roll_back(service, user, policy, verdict), no_rollback))
    return verbs


def _blocked(verb: ButtonVerb, reason: str) -> ButtonVerb:
    return dataclasses.replace(verb, blocked_by=reason or verb.blocked_by)


def _closed(user: AbstractUser, policy: PolicyRules, verdict: Verdict) -> str:
    """Return why the calendar allows this person no deployment; what others approve is checked then."""
    is_closed = not verdict.is_open and not policy.requires_second_person
    message = f"The service may not be changed now: {verdict.reason}"
    return overrides.blocked_by(user, message if is_closed else None)


def _deploy(
    service: Service,
    releases: list[Release],
    user: AbstractUser,
    policy: PolicyRules,
    verdict: Verdict,
) -> ButtonVerb:
    is_for_two = policy.requires_second_person
    does = partial(_queue, service, user)
    return Verb(
        name="deploy",
        label="Ask to deploy" if is_for_two else "Deploy",
        icon="rocket_launch",
        permission=roles.DEPLOY,
        link=_link(service, "deploy"),
        is_primary=service.status in Service.APPROVED,
        consequences=[
            *_of_gates(verdict, is_for_two=is_for_two),
            "The chosen release is fetched and verified on every target, then switched to, wave by wave.",
            "Each target must be healthy before the next wave begins; if not, all are rolled back.",
        ],
        choices=[
            Choice(
                name="version",
                label="Version",
                options=[(release.version, _offered(release, service)) for release in releases],
                is_required=True,
            ),
            Choice(
                name="strategy",
                label="Strategy",
                options=[(name, name) for name in strategies.NAMES],
                value=policy.strategy,
                is_required=True,
            ),
            *overrides.choices(user, is_open=verdict.is_open and not is_for_two),
        ],
        blocked_by=_closed(user, policy, verdict),
        does=does,
    )


def _offered(release: Release, service: Service) -> str:
    return (
        f"{release.version} (runs now)" if release.version == service.version else release.version
    )


def _queue(service: Service, user: AbstractUser, form: Form) -> Done:
    asked = updates.operations.deploy_or_ask(
        service,
        updates.operations.Announcement(version=form["version"]),
        by=user.get_username(),
        strategy=form["strategy"],
        exemptions=updates.operations.GateExemptions(override=overrides.read(user, form)),
    )
    return _done_with(asked)


def _done_with(asked: Job | Approval) -> Done:
    if isinstance(asked, Job):
        return f"{asked.job_id} is queued.", reverse("admin:console_job", args=[asked.job_id])
    onward = reverse("admin:console_approval", args=[asked.pk])
    return f"A second person is asked to approve {asked.release.version}.", onward


def _roll_back(
    service: Service, user: AbstractUser, policy: PolicyRules, verdict: Verdict
) -> ButtonVerb:
    is_for_two = policy.requires_second_person

    def does(form: Form) -> Done:
        exemptions = updates.operations.GateExemptions(override=overrides.read(user, form))
        return _done_with(
            updates.operations.roll_back_or_ask(
                service, form["version"] or None, by=user.get_username(), exemptions=exemptions
            )
        )

    return Verb(
        name="roll-back",
        label="Ask to roll back" if is_for_two else "Roll back",
        icon="undo",
        permission=roles.DEPLOY,
        link=_link(service, "roll-back"),
        consequences=[
            *_of_gates(verdict, is_for_two=is_for_two),
            "Every target switches back to a release that it still keeps, wave by wave.",
            "Only a version that ran before can be restored.",
        ],
        choices=[
            Choice(
                name="version",
                label="Version",
                hint="Empty: the last good one before what runs now.",
            ),
            *overrides.choices(user, is_open=verdict.is_open and not is_for_two),
        ],
        blocked_by=_closed(user, policy, verdict),
        does=does,
    )


def _of_gates(verdict: Verdict, *, is_for_two: bool) -> list[str]:
    consequences = ["A second person must approve it first."] if is_for_two else []
    if not verdict.is_open:
        consequences.append(
            f"Changes are not welcome now: {verdict.reason} It is refused without an override."
        )
    return consequences


def _check(service: Service) -> ButtonVerb:
    def does(_: Form) -> Done:
        result = updates.operations.check(service)
        if result.is_update_available:
            return f"Version {result.latest_version} is available.", None
        return "There is nothing newer.", None

    return Verb(
        name="look",
        label="Look for updates",
        icon="refresh",
        permission=roles.DEPLOY,
        link=_link(service, "look"),
        consequences=[
            "The service's source is asked now; what it offers is put on record.",
            "Nothing is deployed by this, unless the service's policy says so.",
        ],
        does=does,
    )


def _deregister(service: Service, by: str, now: dt.datetime) -> ButtonVerb:
    def does(form: Form) -> Done:
        registry.operations.deregister(
            service.name,
            by=accounts.staff(by),
            now=now,
            reason=form["reason"],
            is_blocked_by_subscriptions=False,  # the page has said how many lose it
        )
        return f"{service.name} is deregistered.", None

    return Verb(
        name="deregister",
        label="Deregister",
        icon="delete",
        permission=roles.DEREGISTER_SERVICE,
        link=_link(service, "deregister"),
        is_danger=True,
        consequences=[
            "All its instances leave the lookups at once; history, releases and targets stay.",
            *_of_dependants(service),
            "It may register again whenever it likes.",
        ],
        choices=[Choice(name="reason", label="Reason", is_long=True)],
        does=does,
    )


def _of_dependants(service: Service) -> list[str]:
    count = service.subscriptions.exclude(state=Subscription.State.CANCELLED).count()
    return [f"Its subscribers ({count}) lose it."] if count else []
