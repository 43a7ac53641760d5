"""The services of a node's host, which its agent keeps registered by the node's token."""

from __future__ import annotations

from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from registry import names
from registry.api import heartbeats, registrations, services
from saga_project.shared import rules
from saga_project.shared.api import fields
from updates.api import agents
from updates.operations import node_services

SERVICE_NAME = OpenApiParameter("name", str, OpenApiParameter.PATH)


class NodeHeartbeatShape(heartbeats.HeartbeatSerializer):
    instance_id = fields.InstanceIdField(help_text="The node, or begins with it and a colon.")


class NodeRegistrationShape(registrations.RegistrationSerializer):
    instance_id = fields.InstanceIdField(help_text="The node, or begins with it and a colon.")


class AgentRegisterView(agents.AgentView):
    @extend_schema(
        operation_id="register_service_of_node",
        summary="Register an instance of a service on the calling node's host, or renew it",
        tags=["nodes"],
        request=NodeRegistrationShape,
        responses={200: registrations.RegisteredSerializer},
    )
    def post(self, request: Request) -> Response:
        node = self.node_of_newest(request)
        body = fields.read(NodeRegistrationShape, request.data)
        registered = node_services.register(
            node, registrations.registration_of(body), now=timezone.now()
        )
        return Response(registrations.registered_body(registered))


class AgentHeartbeatView(agents.AgentView):
    @extend_schema(
        operation_id="heartbeat_of_node",
        summary="Keep an instance on the calling node's host alive",
        tags=["nodes"],
        parameters=[SERVICE_NAME],
        request=NodeHeartbeatShape,
        responses={200: heartbeats.RefreshedSerializer},
    )
    def post(self, request: Request, name: str) -> Response:
        node = self.node_of_newest(request)
        names.check_service_name(name)
        body = fields.read(NodeHeartbeatShape, request.data)
        ttl = node_services.renew(node, heartbeats.heartbeat_of(name, body), now=timezone.now())
        return Response(heartbeats.refreshed_body(name, ttl_seconds=ttl))


class AgentServiceView(agents.AgentView):
    required_scopes = {"DELETE": agents.WORK}

    @extend_schema(
        operation_id="unregister_service_of_node",
        summary="Unregister an instance on the calling node's host",
        tags=["nodes"],
        parameters=[
            SERVICE_NAME,
            fields.text_parameter(
                "instance_id", "Which instance.", rule=rules.INSTANCE_ID, required=True
            ),
        ],
        request=None,
        responses={200: services.UnregisteredSerializer},
    )
    def delete(self, request: Request, name: str) -> Response:
        node = self.node_of_newest(request)
        names.check_service_name(name)
        instance_id = request.query_params.get("instance_id", "")
        names.check_instance_id(instance_id)
        node_services.deregister(node, name, instance_id, now=timezone.now())
        message = f"Instance '{instance_id}' of service '{name}' unregistered successfully"
        return Response({"message": message, "service_name": name})
