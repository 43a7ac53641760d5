"""Stop what runs on a target that is to be removed, on its node and outside any job."""

from __future__ import annotations

import dataclasses
import logging
import time

from django.db import transaction

from registry import events
from saga_project.shared import errors
from updates import event_constructors
from updates.artifacts.installers import places
from updates.models import Job, Target
from updates.rollouts import actions, environments, restarts
from updates.rollouts.agents import orders, serving
from updates.step_context import Interrupted, Outcome, StepContext, StepFailed

logger = logging.getLogger(__name__)
DEADLINE_SECONDS = 600.0


def stop(target_pk: int) -> None:
    """Stop it once more where it was stopped already; the event says what came of it."""
    target = Target.objects.select_related("service").filter(pk=target_pk).first()
    if target is None:
        return
    try:
        outcome = _stop(target)
    except StepFailed as exc:
        outcome = Outcome(message=str(exc), result={"may_still_run": True})
    except OSError:
        logger.exception("target not stopped")
        outcome = Outcome(message="The log of the worker says why.", result={"may_still_run": True})
    may_still_run = bool(outcome.result.get("may_still_run"))
    draft = event_constructors.target_stopped(
        target, message=outcome.message, may_still_run=may_still_run
    )
    with transaction.atomic(durable=True):
        events.publish(draft)
        if not may_still_run:
            Target.objects.filter(pk=target.pk).update(current_version="")


def _stop(target: Target) -> Outcome:
    if Job.objects.locking().filter(service=target.service).exists():
        raise StepFailed("A job of the service began meanwhile.")
    try:
        context = StepContext(
            service_name=target.service.name,
            kind=Job.Kind.ROLLBACK,
            version=target.current_version,
            job_id="",
            target=target,
            fence=0,
            deadline_seconds=DEADLINE_SECONDS,
            root=places.install_root(target, target.service.name),
            environment=environments.declared(target),
        )
    except errors.SagaError as exc:  # a secret that cannot be read
        raise StepFailed(exc.message) from exc
    if not serving.is_agent(target.node):
        return restarts.stop(context)
    ends_at = time.monotonic() + DEADLINE_SECONDS

    def checkpoint() -> None:
        if time.monotonic() > ends_at:
            raise Interrupted

    bounded = dataclasses.replace(context, checkpoint=checkpoint)
    try:
        return orders.perform(bounded, actions.STOP, node=target.node)
    except Interrupted:
        raise StepFailed(f"The agent of node {target.node!r} did not answer.") from None
