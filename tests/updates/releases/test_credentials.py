"""Private artifacts: a host sees its credential, and no other host ever does."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from typing import Any

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from registry.models import Service
from saga_project.shared import crypto
from tests import factories
from tests.updates.artifacts.archives import hostile
from tests.updates.rollouts.conftest import run
from updates import errors, operations
from updates.models import Credential, Job, Source
from updates.releases import credentials, recording

pytestmark = pytest.mark.django_db(transaction=True)

DATA = hostile.good_tar_gz()
SECRETS = {
    "bearer": ({}, "Bearer s3cret", "Authorization"),
    "basic": (
        {"username": "bob"},
        f"Basic {base64.b64encode(b'bob:s3cret').decode()}",
        "Authorization",
    ),
    "header": ({"header_name": "PRIVATE-TOKEN"}, "s3cret", "PRIVATE-TOKEN"),
}


@pytest.fixture(autouse=True)
def folders(tmp_path: Any, settings: Any) -> None:
    settings.SAGA_ARTIFACTS_DIR = tmp_path / "artifacts"
    settings.SAGA_BACKUPS_DIR = tmp_path / "backups"
    settings.SAGA_INSTALL_ROOT = tmp_path / "services"


@pytest.fixture
def service() -> Service:
    return factories.ServiceFactory.create(name="shop")


@pytest.fixture
def elsewhere() -> Iterator[HTTPServer]:
    """Another host: another port is another server."""
    with HTTPServer("127.0.0.1") as server:
        yield server


def keep(url: str, secret: str = "s3cret", **fields: Any) -> Credential:
    return Credential.objects.create(
        host=credentials.host_of(url), sealed_secret=crypto.encrypt(secret), **fields
    )


def serve_private(server: HTTPServer, header: str, value: str, path: str = "/shop.tar.gz") -> str:
    def answer(request: Request) -> Response:
        return Response(DATA) if request.headers.get(header) == value else Response(status=401)

    server.expect_request(path).respond_with_handler(answer)
    return server.url_for(path)


def deploy(service: Service, url: str) -> Job:
    digest = hashlib.sha256(DATA).hexdigest()
    announcement = recording.Announcement(
        version="1.0.0", artifact_url=url, checksum=f"sha256:{digest}"
    )
    return run(operations.deploy(service, announcement, by="ci"))


def sent_to(server: HTTPServer, header: str = "Authorization") -> list[str | None]:
    return [request.headers.get(header) for request, _ in server.log]


@pytest.mark.parametrize("kind", SECRETS)
def test_a_private_artifact_is_deployed(
    service: Service, httpserver: HTTPServer, kind: str
) -> None:
    fields, value, header = SECRETS[kind]
    url = serve_private(httpserver, header, value)
    keep(url, kind=kind, **fields)

    assert deploy(service, url).status == Job.Status.SUCCEEDED


def test_without_a_credential_the_job_says_that_the_host_refused(
    service: Service, httpserver: HTTPServer
) -> None:
    job = deploy(service, serve_private(httpserver, "Authorization", "Bearer s3cret"))

    assert job.status == Job.Status.FAILED
    assert "answered 401" in job.error


def test_a_redirect_to_another_host_goes_without_it(
    service: Service, httpserver: HTTPServer, elsewhere: HTTPServer
) -> None:
    elsewhere.expect_request("/signed").respond_with_data(DATA)
    headers = {"Location": elsewhere.url_for("/signed")}
    httpserver.expect_request("/shop.tar.gz").respond_with_data("", status=302, headers=headers)
    url = httpserver.url_for("/shop.tar.gz")
    keep(url, kind="header", header_name="PRIVATE-TOKEN")

    job = deploy(service, url)

    assert job.status == Job.Status.SUCCEEDED, job.error
    assert sent_to(httpserver, "PRIVATE-TOKEN") == ["s3cret"]
    assert sent_to(elsewhere, "PRIVATE-TOKEN") == [None]


def test_another_host_gets_no_credential(
    service: Service, httpserver: HTTPServer, elsewhere: HTTPServer
) -> None:
    keep(httpserver.url_for("/"), kind="bearer")
    elsewhere.expect_request("/shop.tar.gz").respond_with_data(DATA)

    deploy(service, elsewhere.url_for("/shop.tar.gz"))

    assert sent_to(elsewhere) == [None]


def test_the_credential_of_a_service_is_for_that_service(
    service: Service, httpserver: HTTPServer
) -> None:
    url = serve_private(httpserver, "Authorization", "Bearer its-own")
    other = factories.ServiceFactory.create(name="other")
    keep(url, "everybody's", kind="bearer")
    keep(url, "its-own", kind="bearer", service=service)
    keep("https://packages.example", "its-own", kind="bearer", service=service)

    assert credentials.headers_for(url, service=service)["Authorization"] == "Bearer its-own"
    assert credentials.headers_for(url, service=other)["Authorization"] == "Bearer everybody's"
    assert credentials.headers_for("https://packages.example/a", service=other) == {}


def serve_registry(server: HTTPServer, realm: str = "") -> str:
    """A registry that wants a token of its own for a blob."""
    path = "/v2/acme/shop/blobs/sha256:1"
    realm = realm or server.url_for("/token")

    def blob(request: Request) -> Response:
        if request.headers.get("Authorization") == "Bearer traded":
            return Response(DATA)
        challenge = f'Bearer realm="{realm}",service="registry",scope="repository:acme/shop:pull"'
        return Response(status=401, headers={"WWW-Authenticate": challenge})

    def token(request: Request) -> Response:
        is_known = request.authorization and request.authorization.password == "s3cret"
        return Response('{"token": "traded"}' if is_known else "", status=200 if is_known else 401)

    server.expect_request(path).respond_with_handler(blob)
    server.expect_request("/token", query_string=None).respond_with_handler(token)
    return server.url_for(path)


def test_a_registry_trades_the_password_for_a_token(
    service: Service, httpserver: HTTPServer
) -> None:
    url = serve_registry(httpserver)
    keep(url, kind="registry", username="bob")

    job = deploy(service, url)

    assert job.status == Job.Status.SUCCEEDED, job.error


def test_registry_with_a_plaintext_token_server_gets_no_password(
    service: Service, httpserver: HTTPServer, elsewhere: HTTPServer
) -> None:
    url = serve_registry(httpserver, realm=elsewhere.url_for("/token"))
    keep(url, kind="registry", username="bob")

    job = deploy(service, url)

    assert job.status == Job.Status.FAILED
    assert "in the clear" in job.error
    assert sent_to(elsewhere) == []


def test_the_token_of_a_source_is_used_for_its_artifacts_and_nowhere_else(
    service: Service, httpserver: HTTPServer, elsewhere: HTTPServer
) -> None:
    base_url = httpserver.url_for("/npm")
    token = crypto.encrypt("npm_s3cret")
    Source.objects.create(service=service, kind="npm", base_url=base_url, sealed_token=token)

    def sent(url: str) -> str | None:
        return credentials.headers_for(url, service=service).get("Authorization")

    assert sent(httpserver.url_for("/npm/shop/-/shop-1.0.0.tgz")) == "Bearer npm_s3cret"
    assert sent(elsewhere.url_for("/npm/shop/-/shop-1.0.0.tgz")) is None
    other = factories.ServiceFactory.create(name="other")
    assert credentials.headers_for(base_url, service=other) == {}


def test_a_source_token_with_a_user_name_is_sent_as_basic(service: Service) -> None:
    token = crypto.encrypt("bob:secret")
    Source.objects.create(
        service=service, kind="pypi", base_url="https://pypi.example", sealed_token=token
    )

    headers = credentials.headers_for("https://pypi.example/a-1.0.whl", service=service)

    assert headers == {"Authorization": f"Basic {base64.b64encode(b'bob:secret').decode()}"}


def test_a_secret_goes_over_http_only_where_that_is_allowed(service: Service) -> None:
    """The URL is a caller's: with http:// in place of https:// it would show the secret to the network."""
    url = "http://packages.example/shop.tar.gz"
    credential = keep(url, kind="bearer")

    with pytest.raises(errors.CredentialNotSent, match="over https only"):
        credentials.headers_for(url, service=service)

    credential.is_http_allowed = True
    credential.save()
    assert credentials.headers_for(url, service=service) == {"Authorization": "Bearer s3cret"}


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://Packages.Example/a", "packages.example"),
        ("https://packages.example:443/a", "packages.example"),
        ("http://packages.example:443/a", "packages.example:443"),
        ("https://[::1]:8443/a", "[::1]:8443"),
    ],
)
def test_a_host_is_named_as_in_its_urls(url: str, host: str) -> None:
    assert credentials.host_of(url) == host


@pytest.mark.parametrize(
    ("fields", "secret", "why"),
    [
        ({}, "s3cret", None),
        ({"host": "packages.example/path"}, "s3cret", "without a path"),
        ({"host": "a@packages.example"}, "s3cret", "credentials"),
        ({"kind": "header", "header_name": "Host"}, "s3cret", "no header"),
        ({"kind": "header", "header_name": "A B"}, "s3cret", "no header"),
        ({"kind": "basic"}, "s3cret", "user name"),
        ({"kind": "registry", "username": "a:b"}, "s3cret", "user name"),
        ({}, "", "printable"),
        ({}, "a\r\nHost: b", "printable"),
    ],
)
def test_credentials_that_could_not_be_sent_are_refused(
    fields: dict[str, str], secret: str, why: str | None
) -> None:
    credential = Credential(**{"host": "packages.example", "kind": "bearer", **fields})

    fault = credentials.fault(credential, secret=secret)

    assert (fault is None) if why is None else (why in str(fault))
