"""The document says how calls are signed, and a route warns of no parameter that it reads."""

from __future__ import annotations

import json
from typing import Any

import pytest
from rest_framework.test import APIClient

from saga_project.web import openapi
from tests.factories import ConfigurationFactory
from webhooks.inbound.routes import ROUTES
from webhooks.inbound.senders import SENDERS
from webhooks.signatures import Scheme


@pytest.fixture(scope="module")
def parameters() -> dict[str, set[str]]:
    """The names of the parameters of each POST, in lower case."""
    document: dict[str, Any] = json.loads(openapi.document("required"))
    return {
        path.removeprefix("/api/v1/webhooks/"): {
            each["name"].lower() for each in operations["post"].get("parameters", ())
        }
        for path, operations in document["paths"].items()
        if path.startswith("/api/v1/webhooks/")
    }


@pytest.mark.parametrize("route", ROUTES.values(), ids=lambda route: str(route.name))
def test_routes_that_accept_signatures_declare_their_headers(
    parameters: dict[str, set[str]], route: Any
) -> None:
    signed = {*(scheme.value for scheme in Scheme), "webhook-id", "webhook-timestamp"}

    assert (signed <= parameters[route.name]) is route.accepts_signature


def test_headers_of_foreign_senders_are_declared(parameters: dict[str, set[str]]) -> None:
    read = {name for sender in SENDERS.values() for name in sender.signature_headers}
    read |= {sender.secret_header for sender in SENDERS.values() if sender.secret_header}

    assert {*read, "access_token", "webhook-signature"} <= parameters["from/{sender}/{name}"]


def test_headers_of_slack_are_declared(parameters: dict[str, set[str]]) -> None:
    assert {"x-slack-signature", "x-slack-request-timestamp"} <= parameters["slack"]


@pytest.mark.django_db
def test_configuration_of_a_service_is_read_without_a_warning(api: APIClient) -> None:
    ConfigurationFactory.create(service__name="shop")

    answer = api.get("/api/v1/webhooks/config", {"service_name": "shop"})

    assert answer.status_code == 200
    assert "X-Saga-Warning" not in answer
