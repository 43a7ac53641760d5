"""``GET /services/{name}/resolve``: its parameters, and what it says about those that it cannot use."""

from __future__ import annotations

from typing import Any

import pytest
from rest_framework.test import APIClient

pytestmark = pytest.mark.django_db(transaction=True)


def register(api: APIClient, instance_id: str, **given: Any) -> None:
    body = {
        "service_name": "pay",
        "service_url": f"http://127.0.0.1:9/{instance_id}",
        "instance_id": instance_id,
        **given,
    }
    assert api.post("/api/v1/services/register", body, format="json").status_code == 200


@pytest.fixture(autouse=True)
def pay(redis: object, api: APIClient) -> None:
    register(api, "eu-1", zone="eu", version="1.9.0", capabilities=["rest"])
    register(api, "eu-2", zone="eu", version="1.10.0", capabilities=["rest", "grpc"])
    register(api, "us:1", zone="us", version="2.0.0", capabilities=["grpc"])


def resolved(api: APIClient, query: str) -> set[str]:
    answers = [api.get(f"/api/v1/services/pay/resolve?{query}") for _ in range(20)]
    assert {answer.status_code for answer in answers} == {200}
    return {answer.json()["instance_id"] for answer in answers}


ASKED = {
    "zone=us": {"us:1"},
    "zone=asia&version=<1.10": {"eu-1"},
    "version=%3E%3D1.10,%3C2": {"eu-2"},
    "capability=grpc&zone=eu": {"eu-2"},
    "exclude=eu-1&exclude=us:1": {"eu-2"},
    "exclude=eu-1&exclude=eu-2&zone=eu": {"us:1"},
}


def test_takes_what_the_caller_asks_for(api: APIClient) -> None:
    assert {query: resolved(api, query) for query in ASKED} == ASKED


def test_a_sticky_key_gets_one_instance_until_it_leaves(api: APIClient) -> None:
    [kept] = resolved(api, "sticky=customer-7")

    assert resolved(api, "sticky=customer-7") == {kept}
    assert api.delete(f"/api/v1/services/pay?instance_id={kept}").status_code == 200
    [other] = resolved(api, "sticky=customer-7")
    assert other != kept


WRONG = [
    ("version=>", 400, "Invalid version", "version"),
    ("capability=soap", 400, "Invalid capability", "capability"),
    ("exclude=bad%20id", 400, "Invalid instance id", "exclude"),
    ("zone=%00", 400, "Invalid parameter", "zone"),
    (f"sticky={'x' * 257}", 400, "Invalid parameter", "sticky"),
    ("&".join(f"exclude=i{n}" for n in range(101)), 400, "Invalid parameter", "exclude"),
    ("version=>=9", 404, "Instance not found", "version '>=9'"),
    ("capability=mcp", 404, "Instance not found", "capability 'mcp'"),
    ("exclude=eu-1&exclude=eu-2&exclude=us:1", 404, "Instance not found", "exclude"),
]


def test_an_error_names_the_parameter(api: APIClient) -> None:
    for query, status, error, named in WRONG:
        answer = api.get(f"/api/v1/services/pay/resolve?{query}")
        assert (answer.status_code, answer.json()["error"]) == (status, error)
        assert named in answer.json()["message"]


def test_an_unknown_service_is_not_found_whatever_is_asked(api: APIClient) -> None:
    answer = api.get("/api/v1/services/none/resolve?zone=eu&sticky=x")

    assert (answer.status_code, answer.json()["error"]) == (404, "Service not found")


# --- Parameters that a route does not have --------------------------------------------------------


WARNINGS = {
    "services/pay/resolve?zone=eu&zon=eu": "Unknown query parameters: zon",
    "services?q=pay&page=2&sort=x": "Unknown query parameters: page, sort",
    "services/pay?%0d%0aX: y": "Unknown query parameters: %0D%0AX%3A%20y",
    "services/none?x": "Unknown query parameters: x",
    "services?limit=0&x=1": "Unknown query parameters: x",
    "updates/history?since=2026-01-01T00:00:00Z&offset=0": None,
    "events?service=pay&type=*&after=&wait=0&limit=1": None,
}


def test_an_old_route_warns_of_parameters_that_it_does_not_know(api: APIClient) -> None:
    said = {path: api.get(f"/api/v1/{path}").headers.get("X-Saga-Warning") for path in WARNINGS}

    assert said == WARNINGS


def test_a_changing_request_is_done_and_warned(api: APIClient) -> None:
    answer = api.delete("/api/v1/services/pay?instance=eu-1")

    assert answer.status_code == 200
    assert answer["X-Saga-Warning"] == "Unknown query parameters: instance"


def test_a_new_route_rejects_parameters_that_it_does_not_know(api: APIClient) -> None:
    answer = api.get("/api/v1/approvals?stat=pending")

    assert (answer.status_code, answer.json()["error"]) == (400, "Invalid parameter")
    assert answer.json()["message"].startswith("'stat' is no parameter of this route; there are ")
    assert api.get("/api/v1/approvals?state=pending").status_code == 200
    assert api.put("/api/v1/approvals?stat=pending").status_code == 405


# --- Entity tags ----------------------------------------------------------------------------------

PATHS = ["services", "services/pay", "services/pay/instances", "services/pay/resolve?sticky=a"]


def tags(api: APIClient) -> dict[str, str]:
    return {path: api.get(f"/api/v1/{path}")["ETag"] for path in PATHS}


def test_a_client_that_has_the_answer_gets_304(api: APIClient) -> None:
    for path, tag in tags(api).items():
        for header in (tag, tag.removeprefix("W/"), f'"x", {tag}', "*"):
            known = api.get(f"/api/v1/{path}", headers={"If-None-Match": header})
            assert (known.status_code, known.content, known["ETag"]) == (304, b"", tag)
        other = api.get(f"/api/v1/{path}", headers={"If-None-Match": '"x"'})
        assert other.status_code == 200


def test_a_heartbeat_keeps_the_tags_and_a_change_makes_others(api: APIClient) -> None:
    before = tags(api)
    beat = {"instance_id": "us:1", "status": "passing"}
    assert api.post("/api/v1/services/pay/heartbeat", beat, format="json").status_code == 200

    assert tags(api) == before
    for instance_id in ("eu-1", "eu-2", "us:1"):
        register(api, instance_id, service_url=f"http://127.0.0.1:9/new/{instance_id}")
    for path, tag in before.items():
        changed = api.get(f"/api/v1/{path}", headers={"If-None-Match": tag})
        assert (changed.status_code, changed["ETag"] != tag) == (200, True)


def test_each_page_and_filter_of_the_list_has_a_tag_of_its_own(api: APIClient) -> None:
    api.post(
        "/api/v1/services/register",
        {"service_name": "mail", "service_url": "http://127.0.0.1:9/mail"},
        format="json",
    )
    queries = ("", "?limit=1", "?limit=1&offset=1", "?q=pay", "?offset=2")

    found = {api.get(f"/api/v1/services{query}")["ETag"] for query in queries}

    assert len(found) == len(queries)
