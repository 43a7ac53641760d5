"""Back-channel logout: what ends sessions, and which logout tokens are refused."""

from __future__ import annotations

import datetime as dt
import time
from typing import Any

import pytest
from django.conf import settings as configured
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.test import Client
from django.utils import timezone

from registry.background import retention
from registry.models import EndedLogin
from saga_project.console.sign_in import views
from saga_project.shared import rate_limits
from tests.identity_provider import CLIENT, Running
from tests.saga_project.console.sign_in.conftest import PASSWORD, ComeIn
from updates.models import AuditEntry

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis", "unbounded")]

ADDRESS = "/admin/login/provider/backchannel-logout/"
PAGE = "/admin/registry/service/"
EVENT = "http://schemas.openid.net/event/backchannel-logout"
ADA = "sub-of-ada"


@pytest.fixture
def unbounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(views, "_refusals", rate_limits.Buckets(per_second=100, burst=100))


def log_out(text: str, **options: Any) -> Any:
    """Post a logout token as a provider does, which is no browser."""
    caller = Client(SERVER_NAME="localhost", enforce_csrf_checks=True)
    return caller.post(
        ADDRESS, f"logout_token={text}", "application/x-www-form-urlencoded", **options
    )


def is_in(client: Client) -> bool:
    return client.get(PAGE).status_code == 200


def log_in(come_in: ComeIn, provider: Running, sid: str | None, name: str = "ada") -> Client:
    """Return a browser whose login has a session at the provider."""
    client = Client(SERVER_NAME="localhost")
    provider.errs(claims={"sid": sid} if sid else {})
    assert come_in(name, by=client).status_code == 302
    provider.errs()
    assert is_in(client)
    return client


def test_a_session_of_the_provider_ends_the_session_of_its_login(
    come_in: ComeIn, provider: Running
) -> None:
    laptop, phone = (log_in(come_in, provider, sid) for sid in ("laptop", "phone"))

    answer = log_out(provider.logout_token(claims={"sub": ADA, "sid": "laptop"}))

    assert (answer.status_code, answer.content) == (200, b"")
    assert "no-store" in answer["Cache-Control"]
    sent = laptop.get(PAGE)
    assert sent["Location"] == "/admin/login/?next=%2Fadmin%2Fregistry%2Fservice%2F"
    assert not is_in(laptop)
    assert is_in(phone)
    [entry] = AuditEntry.objects.filter(action="login.revoked")
    assert (entry.actor, entry.data["by"], entry.data["what"]) == ("ada", "provider", "one session")


def test_a_token_without_a_session_ends_all_sessions_of_the_person(
    come_in: ComeIn, provider: Running, otto: User
) -> None:
    provider.knows(ada={"groups": ["sre"]}, grace={"groups": ["sre"]})
    of_ada = [log_in(come_in, provider, sid) for sid in ("laptop", None)]
    of_grace = log_in(come_in, provider, "laptop-of-grace", "grace")
    local = Client(SERVER_NAME="localhost")
    local.post("/admin/login/", {"username": "otto", "password": PASSWORD})

    assert log_out(provider.logout_token(claims={"sub": ADA})).status_code == 200

    assert [is_in(client) for client in of_ada] == [False, False]
    assert is_in(of_grace)
    assert is_in(local)


def test_a_token_with_a_session_alone_is_enough(come_in: ComeIn, provider: Running) -> None:
    client = log_in(come_in, provider, "laptop")

    assert log_out(provider.logout_token(claims={"sid": "laptop"})).status_code == 200

    assert not is_in(client)


def test_a_login_without_a_session_id_ends_with_any_session_of_its_person(
    come_in: ComeIn, provider: Running
) -> None:
    client = log_in(come_in, provider, None)

    log_out(provider.logout_token(claims={"sub": ADA, "sid": "laptop"}))

    assert not is_in(client)


def test_a_later_login_is_not_ended_by_an_earlier_logout(
    come_in: ComeIn, provider: Running
) -> None:
    earlier = log_in(come_in, provider, "laptop")
    a_minute_ago = int(time.time()) - 60

    log_out(provider.logout_token(claims={"sub": ADA, "iat": a_minute_ago}))
    assert is_in(earlier)
    log_out(provider.logout_token(claims={"sub": ADA, "sid": "laptop"}))

    assert not is_in(earlier)
    assert is_in(log_in(come_in, provider, "another"))


def test_a_login_that_waits_for_its_second_factor_ends_as_well(
    come_in: ComeIn, provider: Running, settings: Any
) -> None:
    settings.SAGA_REQUIRE_SECOND_FACTOR = ["operators"]
    client = Client(SERVER_NAME="localhost")
    provider.errs(claims={"sid": "laptop"})
    come_in("ada", by=client)
    assert client.get("/admin/second-factor/").status_code == 200

    log_out(provider.logout_token(claims={"sid": "laptop"}))

    assert client.get("/admin/second-factor/")["Location"].startswith("/admin/login/")


def test_a_page_that_fetches_is_led_to_the_login(come_in: ComeIn, provider: Running) -> None:
    client = log_in(come_in, provider, "laptop")
    log_out(provider.logout_token(claims={"sid": "laptop"}))

    answer = client.get(PAGE, headers={"X-Saga-Fragment": "1"})

    assert answer.status_code in (204, 302)
    assert not is_in(client)


NOW = int(time.time())
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "signed with another key": ({"other_key": True}, "not one that its issuer"),
    "not signed": ({"no_signature": True}, "not one that its issuer"),
    "of another issuer": ({"claims": {"iss": "https://evil.example"}}, "not one that its issuer"),
    "for another program": ({"claims": {"aud": "another"}}, "not one that its issuer"),
    "for nothing": ({"claims": {"aud": None}}, "not one that its issuer"),
    "without iat": ({"claims": {"iat": None}}, "not one that its issuer"),
    "from the future": ({"claims": {"iat": NOW + 86_400}}, "not one that its issuer"),
    "of yesterday": ({"claims": {"iat": NOW - 86_400}}, "'iat' is too long ago"),
    "with a text for iat": ({"claims": {"iat": "now"}}, "not one that its issuer"),
    "expired": ({"claims": {"exp": NOW - 86_400}}, "has expired"),
    "without exp": ({"claims": {"exp": None}}, "not one that its issuer"),
    "without jti": ({"claims": {"jti": None}}, "not one that its issuer"),
    "with a number for jti": ({"claims": {"jti": 7}}, "not one that its issuer|'jti' is no text"),
    "with an empty jti": ({"claims": {"jti": ""}}, "'jti' is no text"),
    "without events": ({"claims": {"events": None}}, "not one that its issuer"),
    "with other events": ({"claims": {"events": {"https://x.example/e": {}}}}, "'events'"),
    "with a list of events": ({"claims": {"events": [EVENT]}}, "'events'"),
    "with an event that is no object": ({"claims": {"events": {EVENT: "yes"}}}, "'events'"),
    "with a nonce": ({"claims": {"nonce": "n"}}, "'nonce'"),
    "with a nonce that is empty": ({"claims": {"nonce": ""}}, "'nonce'"),
    "about nothing": ({"claims": {"sub": None, "sid": None}}, "neither a person"),
    "with a list for sid": ({"claims": {"sid": ["laptop"]}}, "'sid' is no text"),
    "with a number for sub": ({"claims": {"sub": 7}}, "not one that its issuer|'sub' is no text"),
    "of another type": ({"typ": "at+jwt"}, "another type"),
}


@pytest.mark.parametrize("fault", REFUSED)
def test_a_token_is_refused_that_is(fault: str, come_in: ComeIn, provider: Running) -> None:
    client = log_in(come_in, provider, "laptop")
    asked, reason = REFUSED[fault]
    claims = {"sub": ADA, "sid": "laptop", **asked.get("claims", {})}

    answer = log_out(provider.logout_token(**{**asked, "claims": claims}))

    assert answer.status_code == 400
    assert "no-store" in answer["Cache-Control"]
    document = answer.json()
    assert document["error"] == "invalid_request"
    assert any(each in document["error_description"] for each in reason.split("|")), document
    assert is_in(client)
    assert not EndedLogin.objects.exists()


def test_a_token_is_taken_once(come_in: ComeIn, provider: Running) -> None:
    text = provider.logout_token(claims={"sub": ADA})
    assert log_out(text).status_code == 200

    answer = log_out(text)

    assert answer.status_code == 400
    assert "sent before" in answer.json()["error_description"]
    assert EndedLogin.objects.count() == 1
    assert AuditEntry.objects.filter(action="login.revoked").count() == 1


def test_a_token_for_several_programs_is_taken(provider: Running, db: None) -> None:
    text = provider.logout_token(claims={"sub": ADA, "aud": ["another", CLIENT]})

    assert log_out(text).status_code == 200


def test_what_is_no_token_is_refused(provider: Running) -> None:
    for text in ("", "x", "a.b.c", "%00", "%ff.%ff.%ff", "e30.e30.", "x" * 100_000):
        assert log_out(text).status_code == 400, text[:20]
    anonymous = Client(SERVER_NAME="localhost")
    assert anonymous.post(ADDRESS, b"{}", "application/json").status_code == 400
    assert anonymous.get(ADDRESS).status_code == 405
    assert not Session.objects.exists()


def test_an_address_guesses_few_tokens(provider: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    bounds = rate_limits.Buckets(per_second=1 / 3600, burst=2)
    monkeypatch.setattr(views, "_refusals", bounds)
    text = provider.logout_token(claims={"sub": ADA})

    answers = [log_out("x", REMOTE_ADDR="192.0.2.1").status_code for _ in range(4)]

    assert answers == [400, 400, 429, 429]
    assert log_out(text, REMOTE_ADDR="192.0.2.1").status_code == 429
    assert log_out(text, REMOTE_ADDR="192.0.2.2").status_code == 200


def test_without_a_provider_no_token_is_taken(client: Client, db: None) -> None:
    assert client.post(ADDRESS, {"logout_token": "x"}).status_code == 404


def test_what_is_said_of_logins_is_kept_for_as_long_as_sessions_live(provider: Running) -> None:
    log_out(provider.logout_token(claims={"sub": ADA}))
    log_out(provider.logout_token(claims={"sub": ADA}))
    old = timezone.now() - dt.timedelta(seconds=configured.SESSION_COOKIE_AGE, hours=2)
    EndedLogin.objects.filter(pk=EndedLogin.objects.latest("pk").pk).update(received_at=old)

    retention.purge_sessions()

    assert EndedLogin.objects.count() == 1
