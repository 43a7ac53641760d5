"""Sources and releases by API."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pytest_httpserver import HTTPServer
from rest_framework.test import APIClient

from registry.models import Service
from saga_project.shared import crypto
from tests import factories
from tests.updates.releases.sources import imitations
from updates.models import AuditEntry, Release, Source

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis")]

NAME = "payment-service"
TAGS = {"tag_prefix": "payment-"}


def _send(api: APIClient, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
    text = json.dumps(body) if body is not None else ""
    return api.generic(method, f"/api/v1/{path}", text, content_type="application/json")


def _add(api: APIClient, **fields: Any) -> Any:
    return _send(api, "POST", "sources", {"service_name": NAME, **fields})


# --- Sources --------------------------------------------------------------------------------------


def test_a_source_is_added_read_changed_and_deleted(api: APIClient) -> None:
    added = _add(api, kind="github", location="acme/payment", options=TAGS, token="ghp_1")
    source = Source.objects.get()
    path = f"sources/{source.pk}"

    assert (added.status_code, added.json()["options"]) == (201, TAGS)
    assert added.json() == _send(api, "GET", path).json()
    assert _send(api, "GET", f"sources?service={NAME}").json()["sources"] == [added.json()]
    assert _send(api, "GET", "sources?kind=npm").json()["total"] == 0

    changed = _send(api, "PATCH", path, {"interval_seconds": 600}).json()
    assert (changed["interval_seconds"], changed["has_token"]) == (600, True)
    assert _send(api, "PATCH", path, {"token": None}).json()["has_token"] is False

    assert _send(api, "DELETE", path).status_code == 204
    assert _send(api, "GET", path).status_code == 404
    actions = AuditEntry.objects.order_by("sequence").values_list("action", flat=True)
    assert list(actions) == ["source.added", "source.changed", "source.changed", "source.deleted"]


def test_a_token_is_sealed_and_never_shown(api: APIClient) -> None:
    answer = _add(api, kind="github", location="acme/payment", token="ghp_secret")

    source = Source.objects.get()
    assert crypto.decrypt(source.sealed_token) == "ghp_secret"
    assert answer.json()["has_token"] is True
    assert "ghp_secret" not in answer.content.decode()
    assert "ghp_secret" not in json.dumps(AuditEntry.objects.get().data)


def test_a_service_has_one_source(api: APIClient) -> None:
    _add(api, kind="pypi", location="payment")

    answer = _add(api, kind="npm", location="payment")

    assert (answer.status_code, answer.json()["error"]) == (409, "Source exists")
    assert Source.objects.get().kind == "pypi"


def test_a_source_that_cannot_be_asked_is_refused_by_field(api: APIClient) -> None:
    unknown = _add(api, kind="github", location="acme/payment", options={"aset": "*"})
    strange = _add(api, url="https://x.example/")

    assert (unknown.status_code, unknown.json()["error"]) == (400, "Invalid source")
    assert unknown.json()["message"].startswith("options: This kind has no option 'aset'")
    assert (strange.status_code, "name its 'kind'" in strange.json()["message"]) == (400, True)
    assert not Source.objects.exists()
    assert not Service.objects.exists()


def test_the_address_of_a_page_is_enough(api: APIClient) -> None:
    answer = _add(api, url="https://hub.docker.com/r/acme/payment/tags", options=TAGS)

    body = answer.json()
    assert (answer.status_code, body["kind"], body["location"]) == (201, "oci", "acme/payment")
    assert body["options"] == TAGS


def test_a_check_shows_what_was_found(api: APIClient, httpserver: HTTPServer) -> None:
    releases = [imitations.github_release(f"payment-v1.{minor}.0") for minor in (3, 10)]
    imitations.serve_github(httpserver, [*releases, imitations.github_release("zeta-v9.0.0")])
    base_url = httpserver.url_for("").rstrip("/")
    added = _add(api, kind="github", location="acme/payment", base_url=base_url, options=TAGS)

    answer = _send(api, "POST", f"sources/{added.json()['id']}/check")

    assert (answer.status_code, answer.json()["latest_version"]) == (200, "1.10.0")
    assert {found["version"] for found in answer.json()["releases"]} == {"1.3.0", "1.10.0"}
    after = _send(api, "GET", f"sources/{added.json()['id']}").json()
    assert (after["last_version"], after["last_error"]) == ("1.10.0", None)


def test_a_source_that_cannot_be_reached_is_502_and_keeps_the_reason(
    api: APIClient, httpserver: HTTPServer
) -> None:
    base_url = httpserver.url_for("").rstrip("/")
    httpserver.expect_request("/simple/payment/").respond_with_data("", status=404)
    added = _add(api, kind="pypi", location="payment", base_url=base_url).json()

    answer = _send(api, "POST", f"sources/{added['id']}/check")

    assert (answer.status_code, answer.json()["error"]) == (502, "Update source unavailable")
    after = _send(api, "GET", f"sources/{added['id']}").json()
    assert (after["failures"], "does not know" in after["last_error"]) == (1, True)


# --- Releases -------------------------------------------------------------------------------------


@pytest.fixture
def release() -> Release:
    service = factories.ServiceFactory.create(name=NAME)
    factories.ReleaseFactory.create(service=factories.ServiceFactory.create(name="other"))
    return factories.ReleaseFactory.create(service=service, version="1.3.0")


def test_releases_are_listed_by_service_and_state(api: APIClient, release: Release) -> None:
    def versions(query: str) -> list[str]:
        answer = _send(api, "GET", f"releases?{query}").json()
        assert answer["total"] == len(answer["releases"])
        return [found["version"] for found in answer["releases"]]

    assert versions(f"service={NAME}") == ["1.3.0"]
    assert len(versions("")) == 2
    assert versions("state=withdrawn") == []
    assert _send(api, "GET", "releases?state=gone").status_code == 400
    assert _send(api, "GET", f"releases/{release.pk}").json()["version"] == "1.3.0"
    assert _send(api, "GET", "releases/none").status_code == 404


def test_a_release_is_quarantined_withdrawn_and_made_available(
    api: APIClient, release: Release
) -> None:
    path = f"releases/{release.pk}"

    stopped = _send(api, "POST", f"{path}/quarantine", {"reason": "leaks"}).json()
    again = _send(api, "POST", f"{path}/release", {}).json()
    withdrawn = _send(api, "POST", f"{path}/withdraw", {"reason": "old"}).json()
    illegal = _send(api, "POST", f"{path}/quarantine", {"reason": "leaks"})

    assert (stopped["state"], stopped["state_reason"]) == ("quarantined", "leaks")
    assert again["state"] == "available"
    assert (withdrawn["state"], withdrawn["state_reason"]) == ("withdrawn", "old")
    assert illegal.status_code == 409
    assert _send(api, "POST", f"{path}/release", {"reason": 1}).status_code == 400
    assert _send(api, "POST", f"{path}/quarantine", {}).status_code == 400
    assert AuditEntry.objects.filter(action="release.quarantined").count() == 1
