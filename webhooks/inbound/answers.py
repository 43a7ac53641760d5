"""Answers that several routes give, and their shapes in the OpenAPI document."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from webhooks.inbound.calls import CallAnswer


class AcceptedSerializer(serializers.Serializer[Any]):
    status = serializers.CharField()
    message = serializers.CharField()
    service_name = serializers.CharField()
    version = serializers.CharField()


class ReceivedSerializer(serializers.Serializer[Any]):
    status = serializers.CharField()
    message = serializers.CharField()


def release_received(service_name: str, version: str) -> CallAnswer:
    return CallAnswer(
        202,
        {
            "status": "accepted",
            "message": f"Update notification received for {service_name}",
            "service_name": service_name,
            "version": version,
        },
    )


def ignored(reason: str) -> CallAnswer:
    return CallAnswer(202, {"status": "ignored", "message": reason})


def received(message: str) -> CallAnswer:
    return CallAnswer(200, {"status": "received", "message": message})
