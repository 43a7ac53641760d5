"""``rollback``: go back to a version that ran before."""

from __future__ import annotations

import datetime as dt
from functools import partial

import updates.operations
from saga_project.shared.api.fields import FlagField, VersionField
from webhooks.inbound import bodies, jobs, journal, services
from webhooks.inbound.calls import Call, CallAnswer, Route


class RollbackShape(jobs.JobDetailsShape, bodies.SecretShape):
    version = VersionField(required=False, allow_null=True)
    fast = FlagField(
        help_text="All targets at once, without drains, metrics and the watch at the end."
    )
    force = FlagField(help_text="Restore a quarantined release; needs a reason.")
    reason = bodies.OptionalTextField(max_length=1000)
    override_reason = jobs.OverrideReasonField()


def _act(call: Call, now: dt.datetime) -> CallAnswer:
    data = bodies.read(RollbackShape, call.document)
    return journal.act_once(call, partial(_queue, call, data), now=now)


def _queue(call: Call, data: bodies.Data) -> CallAnswer:
    service = services.known(call.service_name)
    asked = updates.operations.roll_back_or_ask(
        service,
        data.get("version"),
        by=call.actor,
        options=data.get("strategy_options"),
        details=jobs.details(data),
        exemptions=jobs.exemptions(call, data),
    )
    return jobs.answer(asked, f"Rollback process started for service {service.name}")


ROUTE = Route(
    name="rollback",
    operation_id="webhook_rollback",
    summary="Go back to a version that ran before",
    body=RollbackShape,
    answers={202: jobs.JobAcceptedSerializer},
    scope="updates:deploy",
    permission="updates.add_job",
    act=_act,
    needs_signature=True,
)
