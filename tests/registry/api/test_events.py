"""The list of events over HTTP; what waits or streams is in tests/saga_project/test_streams.py."""

from __future__ import annotations

import dataclasses
import datetime as dt
from typing import Any

import pytest
from django.conf import settings
from django.db import transaction
from django.utils import timezone
from rest_framework.test import APIClient

from registry import events
from registry.api.events import Stream, may_go_on
from registry.events import log
from registry.events.log import Cursor, Selection
from registry.identity import accounts
from registry.models import Event, ServiceAccount, Token
from tests import waiting

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis")]
EVENTS = "/api/v1/events"


def publish(*names: str, kind: str = "service.approved") -> None:
    with transaction.atomic():
        events.publish(
            *(events.EventDraft(type=kind, service_name=name, data={"n": 1}) for name in names)
        )
    waiting.until_events_are_readable()


def page(api: APIClient, query: str = "") -> dict[str, Any]:
    response = api.get(f"{EVENTS}{query}")
    assert response.status_code == 200, response.content
    document: dict[str, Any] = response.json()
    return document


def services(document: dict[str, Any]) -> list[str]:
    return [event["service_name"] for event in document["events"]]


def test_an_event_has_the_five_keys(api: APIClient) -> None:
    publish("pay")

    (event,) = page(api)["events"]

    assert list(event) == ["id", "type", "service_name", "occurred_at", "data"]
    assert event["type"] == "service.approved"
    assert event["service_name"] == "pay"
    assert event["data"] == {"n": 1}
    assert dt.datetime.fromisoformat(event["occurred_at"]).utcoffset() == dt.timedelta(0)


def test_without_a_cursor_it_is_the_newest_oldest_first(api: APIClient) -> None:
    publish("a", "b", "c")

    assert services(page(api, "?limit=2")) == ["b", "c"]


def test_goes_on_after_a_cursor_and_repeats_it_when_empty(api: APIClient) -> None:
    publish("a", "b", "c")
    first = page(api, "?after=0-0&limit=2")

    second = page(api, f"?after={first['cursor']}")
    third = page(api, f"?after={second['cursor']}")

    assert services(first) + services(second) == ["a", "b", "c"]
    assert third == {"events": [], "cursor": second["cursor"]}


def test_an_events_id_is_a_cursor(api: APIClient) -> None:
    publish("a", "b")

    first = page(api)["events"][0]

    assert services(page(api, f"?after={first['id']}")) == ["b"]


def test_an_event_of_no_service_says_so(api: APIClient) -> None:
    publish("", kind="webhook.configured")

    assert services(page(api)) == [None]


def test_a_cursor_from_before_any_event_sees_the_first(api: APIClient) -> None:
    cursor = page(api)["cursor"]
    publish("a")

    assert services(page(api, f"?after={cursor}")) == ["a"]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("service=pay", ["pay", "pay"]),
        ("service=pay,auth", ["pay", "auth", "pay"]),
        ("service=pay&service=auth", ["pay", "auth", "pay"]),
        ("service=a*", ["auth"]),
        ("type=service.*", ["pay", "auth"]),
        ("type=health.changed", ["pay"]),
        ("type=health.*&service=auth", []),
        ("type=*&service=*", ["pay", "auth", "pay"]),
    ],
)
def test_filters_by_service_and_type(api: APIClient, query: str, expected: list[str]) -> None:
    publish("pay", "auth")
    publish("pay", kind="health.changed")

    assert services(page(api, f"?{query}")) == expected


@pytest.mark.parametrize(
    ("query", "error"),
    [
        ("limit=0", "Invalid limit"),
        ("limit=1001", "Invalid limit"),
        ("limit=ten", "Invalid limit"),
        ("wait=61", "Invalid wait"),
        ("wait=-1", "Invalid wait"),
        ("wait=soon", "Invalid wait"),
        ("wait=NaN", "Invalid wait"),
        ("after=yesterday", "Invalid cursor"),
        ("after=1-99999999999999999999", "Invalid cursor"),
        ("service=my%20service", "Invalid service name"),
        ("service=register", "Invalid service name"),
        ("service=%00", "Invalid service name"),
        ("service=", "Invalid service name"),
        ("service=pay,", "Invalid service name"),
        ("type=", "Invalid type"),
        ("service=a*%ed%a0%80", "Invalid service name"),
        ("service=*pay", "Invalid service name"),
        ("service=p*y", "Invalid service name"),
        ("type=*.changed", "Invalid type"),
        ("type=Service.*", "Invalid type"),
        ("type=%00", "Invalid type"),
        ("type=" + ",".join(f"t{number}" for number in range(51)), "Invalid parameter"),
    ],
)
def test_says_what_is_wrong_with_a_parameter(api: APIClient, query: str, error: str) -> None:
    for path in (EVENTS, f"{EVENTS}/stream"):
        if path.endswith("stream") and query.startswith(("limit", "wait")):
            continue
        response = api.get(f"{path}?{query}")

        assert response.status_code == 400
        assert response.json()["error"] == error
        assert response.json()["message"]


def test_cursor_before_the_purge_is_410(api: APIClient) -> None:
    publish("old", "older")
    cursor = page(api, "?limit=2")["events"][0]["id"]
    Event.objects.update(occurred_at=timezone.now() - dt.timedelta(days=31))
    log.purge(before=timezone.now() - dt.timedelta(days=30))

    for path in (EVENTS, f"{EVENTS}/stream"):
        response = api.get(f"{path}?after={cursor}")

        assert response.status_code == 410
        assert response.json()["error"] == "Cursor too old"


@pytest.mark.parametrize("query", ["", "?after=0-0"])
def test_a_head_request_of_a_stream_begins_none(api: APIClient, query: str) -> None:
    for _ in range(settings.SAGA_MAX_STREAMS + 1):
        assert api.head(f"{EVENTS}/stream{query}").status_code == 200


def test_a_stream_ends_with_its_token() -> None:
    account = accounts.ensure_account("viewer", scopes=["services:read"])
    token, text = accounts.issue_token(account, scopes=["services:read"])
    stream = Stream(selection=Selection(), after=Cursor(0, 0), slot=0, token=text)

    before = may_go_on(stream)
    Token.objects.filter(pk=token.pk).update(revoked_at=timezone.now())

    assert before
    assert not may_go_on(stream)
    assert may_go_on(dataclasses.replace(stream, token=None))


def test_a_stream_ends_where_its_account_loses_the_scope() -> None:
    account = accounts.ensure_account("viewer", scopes=["services:read"])
    _, text = accounts.issue_token(account, scopes=["services:read"])
    stream = Stream(selection=Selection(), after=Cursor(0, 0), slot=0, token=text)

    before = may_go_on(stream)
    ServiceAccount.objects.filter(pk=account.pk).update(scopes=[])

    assert before
    assert not may_go_on(stream)
    assert may_go_on(dataclasses.replace(stream, is_open=True))


def test_the_list_asks_the_database_a_bounded_number_of_times(
    api: APIClient, django_assert_max_num_queries: Any
) -> None:
    publish(*(f"s{number}" for number in range(50)))

    with django_assert_max_num_queries(2):
        page(api, "?limit=50")
    with django_assert_max_num_queries(2):
        page(api, "?after=0-0&limit=50")
