from __future__ import annotations

from typing import Any

import pytest
from django.http import HttpRequest
from django.test import RequestFactory
from pytest_django import Settings

from registry import errors
from registry.api import authentication
from registry.identity import accounts
from registry.models import ServiceAccount
from saga_project.shared import callers, rate_limits

pytestmark = pytest.mark.django_db


class View:
    required_scopes = {"GET": "services:read", "POST": "registry:manage"}
    allowed_methods = ["GET", "HEAD", "POST", "OPTIONS"]


class SignedView(View):
    accepts_signature = True


class ServiceAccountView(View):
    requires_service_account = True


class PublicView(View):
    required_scopes: dict[str, str] = {}


def get(
    authorization: str | None = None, *, host: str = "localhost", **headers: str
) -> HttpRequest:
    if authorization is not None:
        headers["Authorization"] = authorization
    return RequestFactory(SERVER_NAME=host).get("/api/v1/services", headers=headers)


def post(host: str = "localhost") -> HttpRequest:
    return RequestFactory(SERVER_NAME=host).post("/api/v1/services")


def issue(*scopes: str) -> str:
    account = accounts.ensure_account("ci", scopes=scopes)
    return accounts.issue_token(account, scopes=scopes)[1]


def caller(*scopes: str, **options: Any) -> accounts.Caller:
    return accounts.Caller(account=ServiceAccount(name="ci"), scopes=frozenset(scopes), **options)


@pytest.fixture
def required(settings: Settings) -> None:
    settings.SAGA_AUTH = "required"


# --- Tokens ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["Bearer {}", "bearer {}", "BEARER   {}", " Bearer {} "])
def test_takes_a_bearer_token(form: str) -> None:
    found = authentication.authenticate(get(form.format(issue("services:read"))))

    assert found is not None
    assert str(found) == "ci"


@pytest.mark.parametrize("header", [None, "", "  "])
def test_takes_a_request_without_a_token_as_anonymous(header: str | None) -> None:
    assert authentication.authenticate(get(header)) is None


@pytest.mark.parametrize(
    "header",
    [
        "Bearer",
        "Bearer ",
        "Bearer unknown",
        "Basic dXNlcjpwYXNz",
        "Token {}",
        "{}",
        "Bearer {} {}",
        "Bearer {},Bearer {}",
        "Bearer {}\x00",
        "Bearer {}\u00e9",
        "Bearer \xff\xfe",
        "Bearer ' OR 1=1 --",
        "Bearer a.b.c",
        "Bearer " + "x" * 100_000,
        "Bearer " + "=" * 100,
    ],
)
def test_refuses_whatever_else_stands_for_a_token(header: str) -> None:
    with pytest.raises(errors.TokenRefused):
        authentication.authenticate(get(header.replace("{}", issue("services:read"))))


def test_an_address_that_guesses_tokens_is_slowed_down(
    required: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rate_limits, "_guesses", rate_limits.Buckets(per_second=0.001, burst=2))
    for _ in range(2):
        with pytest.raises(errors.TokenRefused):
            authentication.authenticate(get("Bearer guess"))

    with pytest.raises(rate_limits.TooManyRequests) as refusal:
        authentication.authenticate(get("Bearer guess"))

    assert refusal.value.retry_after_seconds


# --- Scopes ---------------------------------------------------------------------------------------


def test_asks_for_a_token_where_one_is_required(required: None) -> None:
    with pytest.raises(errors.TokenMissing):
        authentication.authorise(get(), View(), caller=None)


def test_asks_for_the_scope_of_the_method(required: None) -> None:
    authentication.authorise(get(), View(), caller=caller("services:read"))
    authentication.authorise(post(), View(), caller=caller("registry:manage"))

    with pytest.raises(errors.ScopeMissing, match="registry:manage"):
        authentication.authorise(post(), View(), caller=caller("services:read"))


def test_asks_for_nothing_where_a_view_names_no_scope(required: None) -> None:
    authentication.authorise(get(), PublicView(), caller=None)


def test_head_and_options_ask_for_what_get_asks_for() -> None:
    assert authentication.required_scope(View(), "HEAD") == "services:read"
    assert authentication.required_scope(View(), "OPTIONS") == "services:read"


def test_view_that_verifies_signatures_accepts_a_request_without_a_token(required: None) -> None:
    authentication.authorise(post(), SignedView(), caller=None)

    with pytest.raises(errors.ScopeMissing):
        authentication.authorise(post(), SignedView(), caller=caller("services:read"))


def test_serves_anyone_in_open_mode() -> None:
    authentication.authorise(get(), View(), caller=None)
    authentication.authorise(post(), View(), caller=None)


def test_holds_a_change_to_the_tokens_scopes_in_open_mode_too() -> None:
    authentication.authorise(get(), View(), caller=caller("updates:read"))

    with pytest.raises(errors.ScopeMissing):
        authentication.authorise(post(), View(), caller=caller("updates:read"))


def test_asks_for_a_service_account_in_open_mode_too() -> None:
    authentication.authorise(post(), ServiceAccountView(), caller=caller("registry:manage"))
    root = caller(is_super=True, is_service_account=False)
    authentication.authorise(post(), ServiceAccountView(), caller=root)

    with pytest.raises(errors.TokenMissing):
        authentication.authorise(post(), ServiceAccountView(), caller=None)
    with pytest.raises(errors.ScopeMissing):
        authentication.authorise(post(), ServiceAccountView(), caller=caller("services:read"))
    person = caller("registry:manage", is_service_account=False)
    with pytest.raises(errors.ServiceAccountRequired):
        authentication.authorise(post(), ServiceAccountView(), caller=person)


# --- The loopback door ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "host",
    ["localhost", "LOCALHOST:8030", "127.0.0.1", "127.0.0.1:8030", "127.9.9.9", "[::1]", "[::1]:1"],
)
def test_knows_a_loopback_host(host: str) -> None:
    assert callers.is_loopback_host(host)


@pytest.mark.parametrize(
    "host",
    [
        "",
        "saga.example",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "10.0.0.1",
        "0.0.0.0",
        "[::]",
        "localhost:80:80",
        "localhost:evil",
        "2130706433",
        "127.1",
        "evil.example#localhost",
        "::1",
        "[::1",
        "localhost@evil.example",
    ],
)
def test_knows_a_host_that_is_not_loopback(host: str) -> None:
    assert not callers.is_loopback_host(host)


def test_a_proxy_or_a_rebound_name_does_not_open_a_loopback_server(
    settings: Settings,
) -> None:
    settings.ALLOWED_HOSTS = ["*"]

    with pytest.raises(errors.TokenMissing):
        authentication.authorise(get(host="saga.example"), View(), caller=None)


def test_a_server_opened_by_hand_beyond_loopback_is_open_to_local_callers_only(
    settings: Settings,
) -> None:
    settings.ALLOWED_HOSTS = ["*"]
    settings.IS_LOOPBACK = False

    authentication.authorise(post(), View(), caller=None)
    with pytest.raises(errors.TokenMissing):
        authentication.authorise(post("saga.example"), View(), caller=None)


@pytest.mark.parametrize(
    "environ",
    [
        {"REMOTE_ADDR": "203.0.113.9"},
        {"REMOTE_ADDR": ""},
        {"REMOTE_ADDR": "testclient"},
        {"SERVER_PROTOCOL": "HTTP/1.0"},
        {"HTTP_FORWARDED": "for=203.0.113.9"},
        {"HTTP_VIA": "1.1 proxy"},
        {"HTTP_X_REAL_IP": "127.0.0.1"},
        {"HTTP_X_FORWARDED_FOR": ""},
        {"HTTP_X_FORWARDED_ANYTHING": "x"},
        {"asgi.scope": {}},  # a server's request without Host
    ],
)
def test_a_caller_that_is_not_known_to_be_local_needs_a_token(environ: dict[str, Any]) -> None:
    authentication.authorise(post(), View(), caller=None)
    request = RequestFactory(SERVER_NAME="localhost").post("/api/v1/services", **environ)

    with pytest.raises(errors.TokenMissing):
        authentication.authorise(request, View(), caller=None)


def test_a_trusted_proxy_on_this_machine_is_no_local_caller(settings: Settings) -> None:
    settings.SAGA_TRUSTED_PROXIES = ["127.0.0.1"]

    with pytest.raises(errors.TokenMissing):
        authentication.authorise(post(), View(), caller=None)


OTHER_SITES = [
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Origin": "https://evil.example"},
    {"Origin": "http://localhost:3000"},
    {"Origin": "https://localhost"},
    {"Origin": "null"},
    {"Origin": "http://localhost.evil.example", "Sec-Fetch-Site": "none"},
]


@pytest.mark.parametrize("headers", OTHER_SITES)
def test_a_page_of_another_site_changes_nothing(headers: dict[str, str]) -> None:
    request = RequestFactory(SERVER_NAME="localhost").post("/api/v1/services", headers=headers)

    with pytest.raises(errors.CrossSiteRequest):
        authentication.authorise(request, View(), caller=None)


@pytest.mark.parametrize("headers", OTHER_SITES)
def test_a_page_of_another_site_may_ask_to_read(headers: dict[str, str]) -> None:
    request = RequestFactory(SERVER_NAME="localhost").get("/api/v1/services", headers=headers)

    authentication.authorise(request, View(), caller=None)


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "same-origin", "Origin": "http://localhost"},
        {"Sec-Fetch-Site": "none"},
        {"Origin": "http://localhost"},
    ],
)
def test_a_page_of_saga_itself_may_change(headers: dict[str, str]) -> None:
    request = RequestFactory(SERVER_NAME="localhost").post("/api/v1/services", headers=headers)

    authentication.authorise(request, View(), caller=None)
