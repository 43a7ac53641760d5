"""A newcomer connects a source by the address of a page, and sees what was found."""

from __future__ import annotations

import pytest
from pytest_httpserver import HTTPServer

from tests import factories
from tests.saga_project.console.conftest import Member
from tests.updates.releases.sources import imitations
from updates.models import Source

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis")]

CONNECT = "/admin/sources/connect/"
BODY = {"service_name": "payment", "url": "https://x.example/", "asset": "", "tag_prefix": ""}


def test_an_address_is_connected_checked_and_shown(member: Member, httpserver: HTTPServer) -> None:
    document = {"version": "1.10.0", "url": "https://x.example/app.tar.gz"}
    httpserver.expect_request("/latest.json").respond_with_json(document)
    client = member("administrators")

    page = client.post(
        CONNECT, {**BODY, "url": httpserver.url_for("/latest.json")}, follow=True
    ).content.decode()

    source = Source.objects.get()
    assert (source.kind, source.service.name, source.last_version) == ("json", "payment", "1.10.0")
    assert "The newest release is 1.10.0." in page
    assert "<bdi>1.10.0</bdi>" in page


def test_what_is_wrong_stands_beside_its_field(member: Member) -> None:
    client = member("administrators")
    factories.SourceFactory.create(service__name="taken", kind="pypi", location="taken")

    unknown = client.post(CONNECT, BODY).content.decode()
    glob = {"url": "https://github.com/acme/payment", "asset": "x["}
    wrong = client.post(CONNECT, {**BODY, **glob}).content.decode()
    image = {"url": "redis:7", "asset": "*.tgz"}
    foreign = client.post(CONNECT, {**BODY, **image}).content.decode()
    taken = {"url": "redis:7", "service_name": "taken"}
    twice = client.post(CONNECT, {**BODY, **taken}).content.decode()

    assert 'id="error-url">No source is known' in unknown
    assert 'id="error-asset">options: The option &#x27;asset&#x27; has an unclosed' in wrong
    assert "has no option &#x27;asset&#x27;" in foreign
    assert "has a source" in twice
    assert Source.objects.count() == 1


def test_check_now_shows_what_was_found(member: Member, httpserver: HTTPServer) -> None:
    imitations.serve_github(httpserver, [imitations.github_release("v1.3.0")])
    source = factories.SourceFactory.create(
        kind="github", location="acme/payment", base_url=httpserver.url_for("").rstrip("/")
    )
    address = f"/admin/sources/{source.pk}/"

    asked = member("administrators").post(address, follow=True).content.decode()
    httpserver.clear_all_handlers()
    failed = member("administrators").post(address, follow=True).content.decode()

    assert "The newest release is 1.3.0." in asked
    assert "payment-v1.3.0.tar.gz" in asked
    assert "The source answered 500." in failed


def test_operators_see_a_source_and_neither_connect_nor_check(member: Member) -> None:
    source = factories.SourceFactory.create(kind="announced")
    client = member("viewers")

    assert client.get(f"/admin/sources/{source.pk}/").status_code == 200
    assert client.post(f"/admin/sources/{source.pk}/").status_code == 403
    assert client.get(CONNECT).status_code == 403
    assert client.post(CONNECT, BODY).status_code == 403
