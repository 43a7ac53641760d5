from __future__ import annotations

import pytest
from django.contrib import admin
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from redis import Redis

from registry import operations, presence
from registry.identity import accounts
from registry.models import Event, Subscription
from saga_project.shared import errors
from tests.factories import ServiceFactory
from tests.registry.admin.conftest import Login

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis")]

REGISTRY = ("service", "instance", "subscription", "event", "serviceaccount", "token")
OTHERS = (
    "auth_user",
    "auth_group",
    "axes_accessattempt",
    "axes_accessfailurelog",
    "axes_accesslog",
    "django_celery_beat_crontabschedule",
    "django_celery_beat_intervalschedule",
    "django_celery_beat_periodictask",
)
HOSTILE = "<script>alert(1)</script>"


def fill(number: int) -> None:
    for index in range(number):
        name = f"service-{index}"
        registration = operations.Registration(service_name=name, url="http://10.0.0.1")
        operations.register(registration, by=None, now=timezone.now())
        service = ServiceFactory._meta.model.objects.get(name=name)
        Subscription.objects.create(service=service, subscriber=f"s{index}")
        account = accounts.ensure_account(f"a{index}", scopes=["services:read"])
        accounts.issue_token(account, scopes=["services:read"])


@pytest.mark.parametrize("page", [f"registry_{name}" for name in REGISTRY] + list(OTHERS))
def test_lists_open(login: Login, page: str) -> None:
    fill(1)
    app, _, model = page.rpartition("_")

    answer = login().get(f"/admin/{app}/{model}/")

    assert answer.status_code == 200


@pytest.mark.parametrize("model", REGISTRY)
def test_rows_open(login: Login, model: str) -> None:
    fill(1)
    row = admin.site._registry  # every model that the admin knows
    [known] = [each for each in row if each._meta.label_lower == f"registry.{model}"]
    first = known._default_manager.order_by("pk").first()
    assert first is not None

    # The console answers with a page of its own where it has one.
    answer = login().get(f"/admin/registry/{model}/{first.pk}/change/", follow=True)

    assert answer.status_code == 200


@pytest.mark.parametrize(
    "page",
    ["auth/user", "auth/group", "django_celery_beat/periodictask", "registry/serviceaccount"],
)
def test_forms_open(login: Login, page: str) -> None:
    assert login().get(f"/admin/{page}/add/").status_code == 200


@pytest.mark.parametrize("model", ["service", "instance", "subscription", "event", "token"])
def test_state_cannot_be_edited_by_hand(login: Login, model: str) -> None:
    assert login().get(f"/admin/registry/{model}/add/").status_code == 403


@pytest.mark.parametrize("model", REGISTRY)
def test_a_list_of_many_takes_as_many_queries_as_a_list_of_few(login: Login, model: str) -> None:
    client = login()
    fill(2)
    address = f"/admin/registry/{model}/"
    client.get(address)
    with CaptureQueriesContext(connection) as few:
        client.get(address)
    fill(8)

    with CaptureQueriesContext(connection) as many:
        client.get(address)

    assert len(many) <= len(few)


@pytest.mark.parametrize("model", REGISTRY)
def test_finds_what_is_searched_for_and_survives_what_is_not(login: Login, model: str) -> None:
    fill(2)
    client = login()

    for text in ("service-1", HOSTILE, "%00", "' OR 1=1 --", "x" * 2000):
        answer = client.get(f"/admin/registry/{model}/", {"q": text})
        assert answer.status_code == 200
        assert HOSTILE not in answer.content.decode()


@pytest.mark.parametrize("model", ["service", "instance"])
def test_lists_open_without_redis(
    login: Login, model: str, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(1)

    def refuse(*args: object) -> None:
        raise errors.RedisUnavailable("gone")

    monkeypatch.setattr(presence, "read", refuse)

    answer = login().get(f"/admin/registry/{model}/")

    assert answer.status_code == 200
    assert "unknown" in answer.content.decode()


def test_shows_no_digest_and_no_sealed_secret(login: Login) -> None:
    service = ServiceFactory.create()
    row = Subscription.objects.create(service=service, subscriber="s", sealed_secret="SEALED")
    token = accounts.issue_token(
        accounts.ensure_account("ci", scopes=["services:read"]), scopes=["services:read"]
    )[0]
    client = login()

    pages = [
        client.get(f"/admin/registry/token/{token.pk}/change/"),
        client.get(f"/admin/registry/serviceaccount/{token.account_id}/change/"),
        client.get(f"/admin/registry/subscription/{row.pk}/change/"),
    ]

    for page in pages:
        assert page.status_code == 200
        assert token.digest not in page.content.decode()
        assert "SEALED" not in page.content.decode()


def test_shows_text_from_outside_as_text(login: Login) -> None:
    ServiceFactory.create(name="a", display_name=HOSTILE, metadata={HOSTILE: HOSTILE})
    Event.objects.create(
        type="x", service_name="a", data={"a": HOSTILE}, occurred_at=timezone.now()
    )
    client = login()

    for address in ("/admin/registry/service/", "/admin/registry/event/"):
        assert HOSTILE not in client.get(address).content.decode()
