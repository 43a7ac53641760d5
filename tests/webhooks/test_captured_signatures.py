"""A body and its signature, captured on one route, do nothing on another."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from tests import factories
from updates.models import Job
from webhooks import operations, signatures

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis")]

NAME = "payment-service"
SECRET = "webhook-secret-key"
BODY = {"service_name": NAME, "version": "1.3.0", "artifact_url": "https://ci.example/1.3.0.tgz"}
CONFIG = "/api/v1/webhooks/config"


@pytest.fixture(autouse=True)
def configured() -> None:
    factories.ServiceFactory.create(name=NAME)
    operations.configure(NAME, endpoints=None, secret=SECRET, now=timezone.now())


def post(api: APIClient, route: str, body: dict[str, Any], headers: dict[str, str]) -> Any:
    raw = json.dumps(body)
    path = f"/api/v1/webhooks/{route}"
    return api.post(path, raw, content_type="application/json", headers=headers)


def over_body(body: dict[str, Any] = BODY) -> dict[str, str]:
    return {"X-Webhook-Signature": signatures.sign_body(json.dumps(body).encode(), secret=SECRET)}


def standard(message_id: str, body: dict[str, Any] = BODY) -> dict[str, str]:
    return signatures.sign_standard(
        json.dumps(body).encode(),
        message_id=message_id,
        timestamp=int(timezone.now().timestamp()),
        secrets=[SECRET],
    )


def test_a_signed_body_of_one_route_is_refused_on_another(api: APIClient) -> None:
    assert post(api, "update", BODY, over_body()).status_code == 202

    answer = post(api, "deploy", BODY, over_body())

    assert (answer.status_code, answer.json()["error"]) == (409, "Signature already used")
    assert not Job.objects.exists()
    assert post(api, "update", BODY, over_body()).status_code == 202


def test_a_signature_of_githubs_kind_is_bound_as_well(api: APIClient) -> None:
    signature = over_body()["X-Webhook-Signature"]
    assert post(api, "update", BODY, over_body()).status_code == 202

    assert post(api, "deploy", BODY, {"X-Hub-Signature-256": signature}).status_code == 409


def test_another_body_is_accepted_on_the_other_route(api: APIClient) -> None:
    assert post(api, "update", BODY, over_body()).status_code == 202
    other = {**BODY, "strategy": "rolling"}

    assert post(api, "deploy", other, over_body(other)).status_code == 202


def test_a_message_id_is_bound_to_its_route_and_a_new_one_is_not(api: APIClient) -> None:
    captured = standard("message-1")
    assert post(api, "update", BODY, captured).status_code == 202

    assert post(api, "deploy", BODY, captured).status_code == 409
    assert not Job.objects.exists()
    assert post(api, "deploy", BODY, standard("message-2")).status_code == 202


def test_a_service_may_ask_for_timestamped_signatures(api: APIClient) -> None:
    body = {"service_name": NAME, "require_timestamp": True}
    assert api.post(CONFIG, body, format="json").status_code == 200

    shown = {**BODY, "webhook_secret": SECRET}
    for refused in (post(api, "update", BODY, over_body()), post(api, "update", shown, {})):
        assert (refused.status_code, refused.json()["error"]) == (401, "Invalid signature")
        assert "webhook-timestamp" in refused.json()["message"]
    both = {**over_body(), **standard("message-1")}
    assert post(api, "update", BODY, both).status_code == 401
    assert post(api, "update", BODY, standard("message-1")).status_code == 202


def test_timestamps_may_be_left_again(api: APIClient) -> None:
    for value in (True, False):
        body = {"service_name": NAME, "require_timestamp": value}
        assert api.post(CONFIG, body, format="json").status_code == 200

    assert post(api, "update", BODY, over_body()).status_code == 202
