"""Nodes with agents: join tokens, approval, rotation, revocation."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_view
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from registry.identity import accounts
from saga_project.shared import api
from saga_project.shared.api import fields
from updates import errors
from updates.models import Node
from updates.operations import node_services, nodes

READ, WRITE = "updates:read", "nodes:write"
NAME = OpenApiParameter("name", str, OpenApiParameter.PATH)


class NodeSerializer(serializers.Serializer[Any]):
    name = serializers.CharField()
    status = serializers.ChoiceField(choices=Node.Status.choices)
    facts = serializers.DictField(help_text="What its agent last said of its host.")
    services = serializers.ListField(
        child=serializers.CharField(),
        help_text="Its agent may register these, beside those of its targets.",
    )
    joined_at = serializers.DateTimeField()
    approved_at = serializers.DateTimeField(allow_null=True)
    approved_by = serializers.CharField(allow_null=True)
    seen_at = serializers.DateTimeField(allow_null=True, help_text="Right to ten seconds.")


class NodeServicesShape(serializers.Serializer[Any]):
    services = serializers.ListField(
        child=fields.NameField(),
        max_length=node_services.MAX_SERVICES,
        help_text="Replaces the list.",
    )


class NodeListSerializer(serializers.Serializer[Any]):
    nodes = NodeSerializer(many=True)
    total = serializers.IntegerField(help_text="Of all matches, not only those on this page.")


class JoinTokenShape(serializers.Serializer[Any]):
    name = fields.TextField(max_length=100, help_text="Of the node; targets name it.")
    hours = fields.WholeField(
        required=False, min_value=1, max_value=nodes.MAX_JOIN_HOURS, default=1
    )
    approve = fields.FlagField(help_text="The node needs no approval afterwards.")


class JoinTokenSerializer(serializers.Serializer[Any]):
    name = serializers.CharField()
    join_token = serializers.CharField(help_text="Shown this once.")


class NodeListView(api.SagaView):
    required_scopes = {"GET": READ}

    @extend_schema(
        operation_id="list_nodes",
        summary="List nodes that have an agent",
        tags=["nodes"],
        parameters=[
            fields.parameter("status", "Those in one state.", choices=Node.Status.values),
            *fields.PAGE,
        ],
        responses={200: NodeListSerializer},
    )
    def get(self, request: Request) -> Response:
        limit, offset = api.read_limit(request) or 100, api.read_offset(request)
        rows = Node.objects.order_by("name")
        if status := api.read_choice(request, "status", Node.Status.values):
            rows = rows.filter(status=status)
        page = [body(row) for row in rows[offset : offset + limit]]
        return Response({"nodes": page, "total": rows.count()})


class NodeView(api.SagaView):
    required_scopes = {"GET": READ}

    @extend_schema(
        operation_id="get_node",
        summary="See a node",
        tags=["nodes"],
        parameters=[NAME],
        responses={200: NodeSerializer},
    )
    def get(self, request: Request, name: str) -> Response:
        node = Node.objects.filter(name=name.replace("\0", "")).first()
        if node is None:
            raise errors.NodeNotFound(f"There is no node {name[:64]!r} with an agent.")
        return Response(body(node))


class JoinTokenView(api.SagaView):
    required_scopes = {"POST": WRITE}
    requires_token = True

    @extend_schema(
        operation_id="make_join_token",
        summary="Make a token with which one host joins as a node, once",
        tags=["nodes"],
        request=JoinTokenShape,
        responses={201: JoinTokenSerializer},
    )
    def post(self, request: Request) -> Response:
        shape = JoinTokenShape(data=api.body_of(request))
        shape.is_valid(raise_exception=True)
        given = shape.validated_data
        text = nodes.make_join_token(
            given["name"],
            hours=given["hours"],
            is_approving=bool(given.get("approve")),
            by=accounts.caller_of(request.user),
            now=timezone.now(),
        )
        return Response({"name": given["name"], "join_token": text}, status=201)


_of_node = functools.partial(
    extend_schema,
    tags=["nodes"],
    parameters=[NAME],
    request=None,
    responses={200: NodeSerializer},
)


class _NodeVerbView(api.SagaView):
    required_scopes = {"POST": WRITE}
    requires_token = True
    operation: Callable[..., Node]

    def post(self, request: Request, name: str) -> Response:
        caller = accounts.caller_of(request.user)
        node = type(self).operation(name.replace("\0", ""), by=caller, now=timezone.now())
        return Response(body(node))


@extend_schema_view(
    post=_of_node(
        operation_id="approve_node",
        summary="Approve a node that joined: it gets orders from now on",
    )
)
class NodeApproveView(_NodeVerbView):
    operation = staticmethod(nodes.approve)


@extend_schema_view(
    post=_of_node(
        operation_id="revoke_node", summary="Revoke a node: its tokens and orders end at once"
    )
)
class NodeRevokeView(_NodeVerbView):
    operation = staticmethod(nodes.revoke)


@extend_schema_view(
    post=_of_node(operation_id="rotate_node", summary="Have a node's agent fetch another token")
)
class NodeRotateView(_NodeVerbView):
    operation = staticmethod(nodes.request_rotation)


class NodeServicesView(api.SagaView):
    required_scopes = {"POST": WRITE}
    requires_token = True

    @_of_node(
        operation_id="set_services_of_node",
        summary="Name the services that a node's agent may register beside those of its targets",
        request=NodeServicesShape,
    )
    def post(self, request: Request, name: str) -> Response:
        shape = NodeServicesShape(data=api.body_of(request))
        shape.is_valid(raise_exception=True)
        node = node_services.set_services(
            name.replace("\0", ""),
            shape.validated_data["services"],
            by=accounts.caller_of(request.user),
            now=timezone.now(),
        )
        return Response(body(node))


def body(node: Node) -> dict[str, Any]:
    return {
        "name": node.name,
        "status": node.status,
        "facts": node.facts,
        "services": node.services,
        "joined_at": api.zulu(node.joined_at),
        "approved_at": api.zulu(node.approved_at),
        "approved_by": node.approved_by or None,
        "seen_at": api.zulu(node.seen_at),
    }
