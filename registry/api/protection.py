"""What protection against mass expiry holds back, and what staff decide about it."""

from __future__ import annotations

import logging
from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from registry.background import protection
from registry.identity import accounts
from registry.operations import configured
from saga_project.shared import api
from saga_project.shared.api.fields import WholeField

logger = logging.getLogger(__name__)
MAX_SECONDS = 3600


class DecisionSerializer(serializers.Serializer[Any]):
    decision = serializers.ChoiceField(
        choices=[protection.GONE, protection.HOLD],
        help_text="'gone': all suspects expire in the next sweep. 'hold': none expires for now.",
    )
    seconds = WholeField(
        required=False,
        min_value=1,
        max_value=MAX_SECONDS,
        default=protection.DECISION_SECONDS,
        help_text="For how long the decision lasts; it ends earlier with the last suspect.",
    )


class ProtectionStateSerializer(serializers.Serializer[Any]):
    mode = serializers.ChoiceField(choices=["normal", "protecting", "unknown"])
    suspects = serializers.IntegerField(allow_null=True)
    instances = serializers.IntegerField(allow_null=True)
    decision = serializers.ChoiceField(choices=[protection.GONE, protection.HOLD], allow_null=True)


def _body() -> dict[str, Any]:
    known = protection.state()
    if known is None:
        return {"mode": "unknown", "suspects": None, "instances": None, "decision": None}
    return {
        "mode": "protecting" if known["is_protecting"] else "normal",
        "suspects": known["suspects"],
        "instances": known["instances"],
        "decision": protection.decision(),
    }


class ProtectionView(api.SagaView):
    required_scopes = {"GET": "services:read", "POST": "admin:registry"}

    @extend_schema(
        operation_id="protection",
        summary="Whether instances are held back from expiring",
        tags=["registry"],
        responses={200: ProtectionStateSerializer},
    )
    def get(self, request: Request) -> Response:
        return Response(_body())

    @extend_schema(
        operation_id="decide_protection",
        summary="Confirm that the suspects are gone, or hold all of them",
        tags=["registry"],
        request=DecisionSerializer,
        responses={200: ProtectionStateSerializer},
    )
    def post(self, request: Request) -> Response:
        shape = DecisionSerializer(data=request.data)
        shape.is_valid(raise_exception=True)
        what = shape.validated_data["decision"]
        caller = accounts.caller_of(request.user)
        actor = configured.actor_of(caller)
        protection.decide(what, actor=actor, seconds=shape.validated_data["seconds"])
        logger.warning(
            "protection decided", extra={"decision": what, "caller": str(caller or "anonymous")}
        )
        return Response(_body())
