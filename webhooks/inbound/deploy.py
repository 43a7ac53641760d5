"""``deploy``: deploy a version."""

from __future__ import annotations

import datetime as dt
from functools import partial

import updates.operations
from registry import names
from saga_project.shared import rules
from saga_project.shared.api.fields import FlagField, UrlField
from updates.models import Policy
from webhooks.inbound import bodies, jobs, journal, services
from webhooks.inbound.calls import Call, CallAnswer, Route


class DeployShape(jobs.JobDetailsShape, bodies.ReleaseShape):
    artifact_url = UrlField(required=False, allow_null=True, or_empty=True)
    strategy = bodies.OptionalTextField(
        rule=rules.ChoiceRule(choices=Policy.Strategy.values), allow_blank=False
    )
    force = FlagField(help_text="Deploy a quarantined release; needs a reason.")
    reason = bodies.OptionalTextField(max_length=1000)
    override_reason = jobs.OverrideReasonField()


def _act(call: Call, now: dt.datetime) -> CallAnswer:
    data = bodies.read(DeployShape, call.document)
    names.check_version(data["version"])
    return journal.act_once(call, partial(_queue, call, data), now=now)


def _queue(call: Call, data: bodies.Data) -> CallAnswer:
    asked = updates.operations.deploy_or_ask(
        services.ensured(call),
        bodies.announcement(data),
        by=call.actor,
        options=data.get("strategy_options"),
        details=jobs.details(data),
        exemptions=jobs.exemptions(call, data),
        **({"strategy": data["strategy"]} if "strategy" in data else {}),
    )
    return jobs.answer(asked, f"Deployment process started for service {call.service_name}")


ROUTE = Route(
    name="deploy",
    operation_id="webhook_deploy",
    summary="Deploy a version; the same request again answers with the running job",
    body=DeployShape,
    answers={202: jobs.JobAcceptedSerializer},
    scope="updates:deploy",
    permission="updates.add_job",
    act=_act,
    needs_signature=True,
)
