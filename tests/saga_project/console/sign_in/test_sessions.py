"""Sessions: a password change ends the others, and idle ones end by themselves."""

from __future__ import annotations

import datetime as dt
import time
from typing import Any

import pytest
from axes.models import AccessLog
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.test import Client
from django.utils import timezone

from registry.background import retention
from saga_project.console.sign_in import sessions, views
from saga_project.console.sign_in.sessions import ACTIVE_KEY
from saga_project.shared import rate_limits
from tests.identity_provider import Running
from tests.saga_project.console.sign_in.conftest import PASSWORD, ComeIn
from updates.models import AuditEntry

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis")]

PAGE = "/admin/registry/service/"
NEW = "another horse battery"


def logged_in() -> Client:
    client = Client(SERVER_NAME="localhost")
    client.post("/admin/login/", {"username": "otto", "password": PASSWORD})
    assert client.get(PAGE).status_code == 200
    return client


def test_a_password_change_ends_the_other_sessions(otto: User) -> None:
    mine, other = logged_in(), logged_in()

    mine.post(
        "/admin/password_change/",
        {"old_password": PASSWORD, "new_password1": NEW, "new_password2": NEW},
    )

    assert mine.get(PAGE).status_code == 200
    assert other.get(PAGE).status_code == 302


def idle_for(client: Client, seconds: float) -> None:
    session = client.session
    session[ACTIVE_KEY] = time.time() - seconds
    session.save()


def test_an_idle_session_ends(otto: User, settings: Any) -> None:
    settings.SAGA_SESSION_IDLE_MINUTES = 10
    client = logged_in()
    idle_for(client, 601)

    answer = client.get(PAGE)

    assert answer["Location"] == "/admin/login/?next=%2Fadmin%2Fregistry%2Fservice%2F"
    assert client.get(PAGE).status_code == 302
    assert AuditEntry.objects.filter(action="login.expired", actor="otto").count() == 1


def test_what_a_page_fetches_by_itself_is_no_click(otto: User, settings: Any) -> None:
    settings.SAGA_SESSION_IDLE_MINUTES = 10
    client = logged_in()
    idle_for(client, 500)
    began = client.session[ACTIVE_KEY]

    client.get("/admin/", headers={"X-Saga-Fragment": "1"})
    assert client.session[ACTIVE_KEY] == began
    client.get(PAGE)
    assert client.session[ACTIVE_KEY] > began

    idle_for(client, 700)
    answer = client.get("/admin/", headers={"X-Saga-Fragment": "1"})
    assert (answer.status_code, answer["X-Saga-Onward"]) == (204, "/admin/login/")


def test_clicks_prolong_no_session(otto: User, settings: Any) -> None:
    settings.SAGA_SESSION_IDLE_MINUTES = 10
    client = logged_in()
    ends_at = client.session.get_expiry_date()
    idle_for(client, 500)

    client.get(PAGE)

    assert client.session[ACTIVE_KEY] > time.time() - 400
    assert client.session.get_expiry_date() == ends_at


def test_a_click_costs_a_write_each_half_minute_only(otto: User, settings: Any) -> None:
    settings.SAGA_SESSION_IDLE_MINUTES = 10
    client = logged_in()
    began = client.session[ACTIVE_KEY]

    client.get(PAGE)

    assert client.session[ACTIVE_KEY] == began


def test_a_login_leads_to_pages_of_this_server_only(otto: User) -> None:
    client = Client(SERVER_NAME="localhost")
    sent = {"username": "otto", "password": PASSWORD, "next": "https://evil.example/"}

    assert client.post("/admin/login/", sent)["Location"] == "/admin/"


def test_people_that_are_no_staff_get_no_session(otto: User) -> None:
    User.objects.update(is_staff=False)
    client = Client(SERVER_NAME="localhost")

    answer = client.post("/admin/login/", {"username": "otto", "password": PASSWORD})

    assert answer.status_code == 200
    assert "_auth_user_id" not in client.session


def test_expired_sessions_are_deleted(otto: User) -> None:
    client, other = logged_in(), logged_in()
    expired = Session.objects.filter(session_key=other.session.session_key)
    expired.update(expire_date=timezone.now() - dt.timedelta(seconds=1))

    assert retention.purge_sessions() == 1

    assert not expired.exists()
    assert client.get(PAGE).status_code == 200


def test_only_the_beginning_of_a_login_makes_a_session(provider: Running) -> None:
    for path in ("login/", "login/provider/callback/?code=x&state=y", "", "second-factor/"):
        Client(SERVER_NAME="localhost").get(f"/admin/{path}")
    assert not Session.objects.exists()

    Client(SERVER_NAME="localhost").get("/admin/login/provider/")

    [begun] = Session.objects.all()
    assert begun.expire_date <= timezone.now() + dt.timedelta(seconds=sessions.PENDING_SECONDS)


def test_a_login_has_its_whole_time(come_in: ComeIn, client: Client) -> None:
    come_in("ada")

    assert client.session.get_expiry_date() > timezone.now() + dt.timedelta(hours=11)


def test_an_address_begins_few_logins(provider: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    bounds = rate_limits.Buckets(per_second=1 / 3600, burst=2)
    monkeypatch.setattr(views, "_beginnings", bounds)

    def begin(address: str) -> Any:
        anonymous = Client(SERVER_NAME="localhost", REMOTE_ADDR=address)
        return anonymous.get("/admin/login/provider/")

    answers = [begin("192.0.2.1") for _ in range(4)]

    assert [answer.status_code for answer in answers] == [302, 302, 429, 429]
    assert 0 < int(answers[2]["Retry-After"]) <= 3600
    assert "Too many logins" in answers[2].content.decode()
    assert Session.objects.count() == 2
    assert begin("192.0.2.2").status_code == 302


def test_the_list_of_logins_is_kept_as_events_are(otto: User, settings: Any) -> None:
    settings.SAGA_EVENT_RETENTION_DAYS = 30
    logged_in()
    logged_in()
    old = AccessLog.objects.latest("pk")
    AccessLog.objects.filter(pk=old.pk).update(attempt_time=timezone.now() - dt.timedelta(days=31))

    retention.purge_sessions()

    assert AccessLog.objects.get().pk != old.pk
    assert AuditEntry.objects.filter(action="login.succeeded", actor="otto").count() == 2
