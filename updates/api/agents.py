"""The protocol of agents: join, poll for orders, report. Only a node's own token opens these routes."""

from __future__ import annotations

import functools
from typing import Any
from uuid import UUID

from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from registry.identity import accounts
from saga_project.shared import api
from saga_project.shared.api import fields
from updates import errors
from updates.models import Node
from updates.operations import agent_work, nodes

WORK = "nodes:work"
MAX_WAIT_SECONDS = 20
ORDER_ID = OpenApiParameter("order_id", str, OpenApiParameter.PATH)


class JoinShape(serializers.Serializer[Any]):
    join_token = fields.TextField(max_length=256)
    facts = serializers.DictField(required=False)


class JoinedSerializer(serializers.Serializer[Any]):
    node = serializers.CharField()
    status = serializers.ChoiceField(choices=Node.Status.choices)
    token = serializers.CharField(help_text="The node's own; shown this once.")
    public_key = serializers.CharField(help_text="Ed25519, in base64: it verifies orders.")


class PollShape(serializers.Serializer[Any]):
    wait = fields.WholeField(required=False, min_value=0, max_value=MAX_WAIT_SECONDS, default=0)
    running = serializers.ListField(
        child=serializers.UUIDField(), required=False, max_length=100, default=list
    )
    facts = serializers.DictField(required=False, default=dict)


class PollSerializer(serializers.Serializer[Any]):
    status = serializers.ChoiceField(choices=Node.Status.choices)
    orders = serializers.ListField(child=serializers.CharField(), help_text="Signed envelopes.")
    cancelled = serializers.ListField(
        child=serializers.CharField(), help_text="Of the running ones: they should end."
    )
    has_to_rotate = serializers.BooleanField()


class ReportShape(serializers.Serializer[Any]):
    progress = fields.WholeField(required=False, min_value=0, max_value=100, default=0)
    message = fields.TextField(required=False, allow_blank=True, max_length=16384, default="")


class OutcomeShape(serializers.Serializer[Any]):
    kind = serializers.ChoiceField(choices=agent_work.OUTCOMES)
    message = fields.TextField(required=False, allow_blank=True, max_length=16384, default="")
    result = serializers.DictField(required=False, default=dict)
    is_skipped = fields.FlagField()


class OrderReceivedSerializer(serializers.Serializer[Any]):
    is_wanted = serializers.BooleanField(help_text="False: the order is over, end it.")


_of_order = functools.partial(
    extend_schema,
    tags=["nodes"],
    parameters=[ORDER_ID],
    responses={200: OrderReceivedSerializer},
)


class RotatedSerializer(serializers.Serializer[Any]):
    token = serializers.CharField()


class JoinView(api.SagaView):
    #: Without a scope: the join token in the body is the right to call it.
    further_statuses = {"POST": (400, 403, 409, 413, 415, 429, 503)}

    @extend_schema(
        operation_id="join_node",
        summary="Join as a node, with a join token",
        tags=["nodes"],
        request=JoinShape,
        responses={201: JoinedSerializer},
    )
    def post(self, request: Request) -> Response:
        given = _read(JoinShape, request)
        joined = nodes.join(given["join_token"], facts=given.get("facts") or {}, now=timezone.now())
        document = {
            "node": joined.node.name,
            "status": joined.node.status,
            "token": joined.token,
            "public_key": joined.public_key,
        }
        return Response(document, status=201)


class AgentView(api.SagaView):
    """A route for the node that calls it."""

    required_scopes = {"POST": WORK}
    requires_token = True

    def node_of(self, request: Request) -> Node:
        """Return the calling node; raises NodeNotAllowed for any other caller."""
        return agent_work.node_of(accounts.caller_of(request.user))

    def node_of_newest(self, request: Request) -> Node:
        """The same, for a token that was not replaced by one in use."""
        caller = accounts.caller_of(request.user)
        node = agent_work.node_of(caller)
        agent_work.check_newest(node, caller)
        return node


class PollView(AgentView):
    @extend_schema(
        operation_id="poll_orders",
        summary="Wait for orders of the calling node",
        tags=["nodes"],
        request=PollShape,
        responses={200: PollSerializer},
    )
    def post(self, request: Request) -> Response:
        node, given = self.node_of_newest(request), _read(PollShape, request)
        caller = accounts.caller_of(request.user)
        nodes.note_facts(node, given["facts"])
        status, envelopes, cancelled = agent_work.poll(
            node, caller, running=given["running"], seconds=given["wait"]
        )
        document = {
            "status": status,
            "orders": envelopes,
            "cancelled": cancelled,
            "has_to_rotate": agent_work.has_to_rotate(node, caller, now=timezone.now()),
        }
        return Response(document)


class OrderReportView(AgentView):
    @_of_order(
        operation_id="report_order", summary="Report how far an order is", request=ReportShape
    )
    def post(self, request: Request, order_id: str) -> Response:
        node, given = self.node_of(request), _read(ReportShape, request)
        return Response({"is_wanted": agent_work.report(node, _id(order_id), **given)})


class OrderOutcomeView(AgentView):
    @_of_order(
        operation_id="finish_order",
        summary="Report what came of an order; the first report counts",
        request=OutcomeShape,
    )
    def post(self, request: Request, order_id: str) -> Response:
        node, given = self.node_of(request), _read(OutcomeShape, request)
        return Response({"is_wanted": agent_work.finish(node, _id(order_id), dict(given))})


class AgentTokenView(AgentView):
    @extend_schema(
        operation_id="rotate_agent_token",
        summary="Get another token of the calling node; the one before ends within the hour",
        tags=["nodes"],
        request=None,
        responses={201: RotatedSerializer},
    )
    def post(self, request: Request) -> Response:
        caller = accounts.caller_of(request.user)
        text = nodes.rotate(self.node_of(request), caller, now=timezone.now())
        return Response({"token": text}, status=201)


def _read(shape: type[serializers.Serializer[Any]], request: Request) -> dict[str, Any]:
    read = shape(data=api.body_of(request))
    read.is_valid(raise_exception=True)
    return dict(read.validated_data)


def _id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise errors.OrderNotFound(f"There is no order {text[:64]!r}.") from None
