"""The service that a call is for."""

from __future__ import annotations

import registry.operations
from registry.errors import ServiceNotFound
from registry.models import Service
from webhooks.inbound.calls import Call


def known(name: str) -> Service:
    """Return the service; raises ServiceNotFound."""
    service = Service.objects.filter(name=name).first()
    if service is None:
        raise not_found(name)
    return service


def not_found(name: str) -> ServiceNotFound:
    return ServiceNotFound(f"Service '{name}' not found in registry")


def ensured(call: Call) -> Service:
    """Return the service of the call, created if unknown; ownership was checked before."""
    found = Service.objects.filter(name=call.service_name).first()
    return found or registry.operations.ensure_service(call.service_name, by=call.caller)
