"""The client library of Saga.

A name is imported when it is first used, so that ``saga --help`` does not wait for an HTTP library.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from saga_client.asynchronous import AsyncSaga
    from saga_client.client import Saga
    from saga_client.errors import (
        ApiError,
        Conflict,
        InvalidRequest,
        InvalidSignature,
        NoInstance,
        NotAllowed,
        NotAuthenticated,
        NotFound,
        SagaError,
        TooManyRequests,
        Unavailable,
        Unreachable,
        UploadFailed,
    )
    from saga_client.models import Instance, Job
    from saga_client.pools import ServicePool
    from saga_client.registration import Registration
    from saga_client.sessions import SagaSession
    from saga_client.webhooks import verify_webhook

_MODULES = {
    "AsyncSaga": "asynchronous",
    "Instance": "models",
    "Job": "models",
    "Registration": "registration",
    "Saga": "client",
    "SagaSession": "sessions",
    "ServicePool": "pools",
    "verify_webhook": "webhooks",
}

__all__ = [
    "ApiError",
    "AsyncSaga",
    "Conflict",
    "Instance",
    "InvalidRequest",
    "InvalidSignature",
    "Job",
    "NoInstance",
    "NotAllowed",
    "NotAuthenticated",
    "NotFound",
    "Registration",
    "Saga",
    "SagaError",
    "SagaSession",
    "ServicePool",
    "TooManyRequests",
    "Unavailable",
    "Unreachable",
    "UploadFailed",
    "verify_webhook",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'saga_client' has no attribute '{name}'")
    return getattr(importlib.import_module(f"saga_client.{_MODULES.get(name, 'errors')}"), name)
