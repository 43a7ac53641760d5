"""The actions on a deployment in its current state, with their consequences."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from django.contrib.auth.models import AbstractUser
from django.urls import reverse
from django.utils import timezone

import updates.operations
from saga_project.console import overrides, roles
from saga_project.shared.admin.verbs import ButtonVerb, Choice, Form, Verb
from updates.models import Job
from updates.operations import job_verbs as verbs
from updates.policies import change_freeze


@dataclass(frozen=True, kw_only=True)
class _Word:
    label: str
    icon: str
    outcome: str
    consequences: Sequence[str] = ()
    permission: str = roles.OPERATE_JOB
    is_primary: bool = False
    is_danger: bool = False


def _of_abort(job: Job) -> list[str]:
    if not _has_switched(job):
        return ["Nothing was switched yet: the deployment ends, and everything stays as it is."]
    return [
        "Every target that was switched is rolled back to"
        f" {job.previous_version or 'what ran before'}, a few at a time.",
        f"Version {job.version} is not installed again by itself.",
    ]


def _has_switched(job: Job) -> bool:
    return job.steps.filter(name="switch", started_at__isnull=False, is_rollback=False).exists()


def _of_retry(job: Job) -> list[str]:
    if job.needs_attention:
        return ["The rollback is retried from where it stopped."]
    outcome = f"A new deployment of {job.version} begins from the start, asked for by you."
    obstacle = _obstacle_of_retry(job)
    return (
        [outcome]
        if obstacle is None
        else [outcome, f"{obstacle} It is refused without an override."]
    )


def _obstacle_of_retry(job: Job) -> str | None:
    """Return what stops the deployment that a retry asks for; a rollback is retried at any time."""
    if job.needs_attention or job.status == Job.Status.ROLLING_BACK:
        return None
    return change_freeze.obstacle(job, now=timezone.now())


_WORDS = {
    "resume": _Word(
        label="Resume",
        icon="play_arrow",
        outcome="goes on",
        is_primary=True,
        consequences=["The deployment goes on with its next step."],
    ),
    "promote": _Word(
        label="Promote",
        icon="skip_next",
        outcome="goes on",
        is_primary=True,
        consequences=[
            "This pause ends now, and the next wave begins.",
            "Later pauses still wait.",
        ],
    ),
    "promote-fully": _Word(
        label="Promote fully",
        icon="fast_forward",
        outcome="goes on to the end",
        consequences=[
            "No pause stops the deployment any more; it goes on to the end.",
            "Its health gates still count: an unhealthy target sends all of it back.",
        ],
    ),
    "pause": _Word(
        label="Pause",
        icon="pause",
        outcome="pauses after the step under way",
        consequences=[
            "The current step is finished; then the deployment is paused until staff resume it.",
            "Targets that were switched already keep running the new version.",
        ],
    ),
    "abort": _Word(
        label="Abort",
        icon="stop_circle",
        outcome="is being stopped",
        is_danger=True,
    ),
    "retry": _Word(
        label="Retry",
        icon="replay",
        outcome="is tried again",
        is_primary=True,
    ),
    "acknowledge": _Word(
        label="Acknowledge",
        icon="done_all",
        outcome="is acknowledged",
        permission=roles.ACKNOWLEDGE_JOB,
        consequences=[
            "You say that you have looked after the service by hand.",
            "It may be deployed to again; this deployment stays failed.",
        ],
    ),
}


#: The verbs with an effect that depends on the job's progress.
_CONSEQUENCES: Mapping[str, Callable[[Job], list[str]]] = {"abort": _of_abort, "retry": _of_retry}


def of(job: Job, *, user: AbstractUser) -> list[ButtonVerb]:
    return [_verb(job, name, user) for name in _names(job)]


def _names(job: Job) -> list[str]:
    allowed = verbs.ALLOWED[job.status]
    names = [name for name in allowed if name != "promote" or job.status == Job.Status.PAUSED]
    if "promote" in allowed and not job.is_promoted_fully:
        names.insert(names.index("abort"), "promote-fully")
    if job.needs_attention:
        names.append("acknowledge")
    return names


def _verb(job: Job, name: str, user: AbstractUser) -> ButtonVerb:
    word = _WORDS[name]

    def does(form: Form) -> tuple[str, str | None]:
        changed = _act(job.job_id, name, user, form)
        onward = reverse("admin:console_job", args=[changed.job_id])
        return f"{changed.job_id} {word.outcome}.", onward

    return Verb(
        name=name,
        label=word.label,
        icon=word.icon,
        permission=word.permission,
        link=reverse("admin:console_job_verb", args=[job.job_id, name]),
        consequences=_CONSEQUENCES[name](job) if name in _CONSEQUENCES else word.consequences,
        is_primary=word.is_primary and not (name == "resume" and "promote" in _names(job)),
        is_danger=word.is_danger,
        choices=_choices(job, name, user),
        blocked_by=overrides.blocked_by(user, _obstacle_of_retry(job)) if name == "retry" else "",
        does=does,
    )


def _choices(job: Job, name: str, user: AbstractUser) -> Sequence[Choice]:
    """Return the field for an override, where the gates stop the new deployment."""
    is_open = name != "retry" or _obstacle_of_retry(job) is None
    return overrides.choices(user, is_open=is_open)


def _act(job_id: str, name: str, user: AbstractUser, form: Form) -> Job:
    by = user.get_username()
    if name == "retry":
        exemptions = updates.operations.GateExemptions(override=overrides.read(user, form))
        return updates.operations.retry(job_id, by=by, exemptions=exemptions)
    if name == "promote-fully":
        return updates.operations.promote(job_id, by=by, is_fully=True)
    does: Callable[..., Job] = getattr(updates.operations, name)
    return does(job_id, by=by)
