"""What ``deploy`` and ``rollback`` have in common: the job's details, its gates and the answer."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

import updates.errors
import updates.operations
from registry.operations import people
from saga_project.shared.api.fields import TextField
from updates.models import Approval, Job
from webhooks.inbound import answers, bodies
from webhooks.inbound.calls import Call, CallAnswer


class OverrideReasonField(bodies.OptionalTextField):
    def __init__(self) -> None:
        super().__init__(
            max_length=1000,
            help_text="Despite freezes, windows, quarantine and the second person; takes admin:registry.",
        )


class JobDetailsShape(serializers.Serializer[Any]):
    """What ``deploy`` and ``rollback`` may say of the targets and the way."""

    strategy_options = serializers.DictField(
        required=False, allow_null=True, help_text="Instead of those of the service's policy."
    )
    targets = serializers.ListField(
        child=TextField(max_length=128),
        required=False,
        allow_null=True,
        max_length=1000,
        help_text="Names of the service's targets; absent: all.",
    )
    labels = serializers.DictField(
        child=TextField(max_length=256),
        required=False,
        allow_null=True,
        help_text="Only targets that have each of these labels.",
    )


class JobAcceptedSerializer(answers.AcceptedSerializer):
    job_id = serializers.CharField(
        allow_null=True, help_text="Null while the request awaits the approval of a second person."
    )


def details(data: bodies.Data) -> updates.operations.Details:
    return updates.operations.Details(
        targets=tuple(data.get("targets", ())),
        labels=data.get("labels", {}),
        reason=data.get("reason", ""),
        is_fast=bool(data.get("fast")),
    )


def exemptions(call: Call, data: bodies.Data) -> updates.operations.GateExemptions:
    """Return what allows this request to pass gates: ``override_reason``, or ``force`` with a ``reason``."""
    force_reason = data.get("reason", "") if data.get("force") else None
    if force_reason is not None and not force_reason.strip():
        raise updates.errors.ReasonMissing("'force' needs a 'reason'.", field="reason")
    if force_reason is not None:
        people.check_approver(call.caller)
    return updates.operations.GateExemptions(
        override=call.override(data.get("override_reason")), force_reason=force_reason
    )


def answer(asked: Job | Approval, message: str) -> CallAnswer:
    if isinstance(asked, Approval):
        return _approval_answer(asked)
    return CallAnswer(
        202,
        {
            "status": "accepted",
            "job_id": asked.job_id,
            "message": message,
            "service_name": asked.service.name,
            "version": asked.version,
        },
    )


def _approval_answer(approval: Approval) -> CallAnswer:
    name, version = approval.service.name, approval.release.version
    verb = "Rollback" if approval.kind == Job.Kind.ROLLBACK else "Deployment"
    return CallAnswer(
        202,
        {
            "status": "awaiting_approval",
            "job_id": None,
            "message": f"{verb} of service {name} to {version} awaits the approval of a second person",
            "service_name": name,
            "version": version,
        },
    )
