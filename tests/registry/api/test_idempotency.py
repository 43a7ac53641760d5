from __future__ import annotations

import datetime as dt
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests
from django.contrib.auth.models import Group, User
from django.db import OperationalError, connection
from django.db.models import F
from django.utils import timezone
from rest_framework.test import APIClient

from registry import idempotency
from registry.identity import accounts
from registry.models import Event, IdempotencyKey, Service, Subscription
from registry.operations import tokens
from tests import waiting, webserver
from tests.api_clients import Answer, Bearer, Headers
from tests.factories import ServiceFactory
from tests.webserver import WebServer

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis")]

SUBSCRIBE = "/api/v1/subscriptions"
BODY = {"service_name": "billing", "subscriber": "mail", "callback_url": "http://127.0.0.1/hook"}


def subscribe(
    api: APIClient,
    key: str,
    body: dict[str, Any] = BODY,
    path: str = SUBSCRIBE,
    headers: Headers | None = None,
) -> Answer:
    sent = {"Idempotency-Key": key, **(headers or {})}
    return api.post(path, body, format="json", headers=sent)


@pytest.fixture(autouse=True)
def billing() -> None:
    ServiceFactory.create(name="billing")


def test_gives_the_first_answer_again_and_acts_once(api: APIClient) -> None:
    first = subscribe(api, "k1")

    again = subscribe(api, "k1")

    assert (first.status_code, again.status_code) == (201, 201)
    assert again.json() == first.json()
    assert again["Content-Type"] == first["Content-Type"]
    assert Subscription.objects.count() == 1


def test_acts_again_under_another_key(api: APIClient) -> None:
    assert subscribe(api, "k1").json()["id"] != subscribe(api, "k2").json()["id"]


def test_refuses_another_body_under_the_same_key(api: APIClient) -> None:
    subscribe(api, "k1")

    answer = subscribe(api, "k1", {**BODY, "subscriber": "other"})

    assert answer.status_code == 409
    assert set(answer.json()) == {"error", "message"}
    assert Subscription.objects.count() == 1


def test_a_key_counts_for_one_route_only(api: APIClient) -> None:
    subscribe(
        api, "k1", {"service_name": "mail", "service_url": "http://a"}, "/api/v1/services/register"
    )

    answer = subscribe(api, "k1", {}, "/api/v1/services/mail/heartbeat")

    assert answer.status_code == 200


def test_a_key_counts_for_one_account_only(api: APIClient, bearer: Bearer) -> None:
    one, two = bearer("registry:manage", account="one"), bearer("registry:manage", account="two")

    ids = {subscribe(api, "k1", headers=headers).json()["id"] for headers in ({}, one, two)}

    assert len(ids) == 3


def test_a_person_with_the_name_of_an_account_has_keys_of_its_own(
    api: APIClient, bearer: Bearer
) -> None:
    """Else it would be shown the secret that the account was shown."""
    person = User.objects.create(username="ci", is_staff=True)
    person.groups.set(Group.objects.filter(name="operators"))
    by = accounts.of_person(person)
    _, text = tokens.issue(by.account, scopes=["registry:manage"], by=by, now=timezone.now())
    theirs = subscribe(api, "k1", headers=bearer("registry:manage", account="ci"))

    own = subscribe(api, "k1", headers={"Authorization": f"Bearer {text}"})

    assert own.status_code == 201
    assert own.json()["secret"] != theirs.json()["secret"]


def test_two_tokens_of_an_account_share_its_keys(api: APIClient, bearer: Bearer) -> None:
    first = subscribe(api, "k1", headers=bearer("registry:manage"))

    again = subscribe(api, "k1", headers=bearer("registry:manage"))

    assert again.json() == first.json()


def test_kept_answer_needs_the_permission(api: APIClient, bearer: Bearer) -> None:
    subscribe(api, "k1", headers=bearer("registry:manage", "services:read"))

    refused = subscribe(api, "k1", headers=bearer("services:read"))
    unknown = subscribe(api, "k1", headers={"Authorization": "Bearer unknown"})

    assert refused.status_code == 403
    assert unknown.status_code == 401


def test_a_refused_request_may_be_sent_again(api: APIClient) -> None:
    body = {**BODY, "service_name": "later"}
    assert subscribe(api, "k1", body).status_code == 404
    ServiceFactory.create(name="later")

    assert subscribe(api, "k1", body).status_code == 201


@pytest.mark.parametrize("key", ["", " ", "two words", "k" * 256, "ü", "a\x01"])
def test_refuses_a_key_that_is_none(api: APIClient, key: str) -> None:
    answer = subscribe(api, key)

    assert answer.status_code == 400
    assert answer.json()["error"] == "Invalid Idempotency-Key"
    assert not Subscription.objects.exists()


def test_refuses_in_the_words_of_the_dialect(api: APIClient, bearer: Bearer) -> None:
    headers = bearer("registry:manage")
    path = "/api/v1/registry/heartbeat"

    bad = subscribe(api, "two words", {"slug": "billing"}, path, headers)
    subscribe(api, "k1", {"slug": "billing"}, path, headers)
    conflict = subscribe(api, "k1", {"slug": "billing", "status": "degraded"}, path, headers)

    assert "detail" in bad.json()
    assert conflict.json()["error"]["code"] == "conflict"


@pytest.mark.parametrize(
    "path",
    ["/api/v1/unknown", "/api/v1/services/a%00b/heartbeat", "/api/v1/services/" + "x" * 3000],
)
def test_unknown_routes_are_refused_by_their_own_handlers(api: APIClient, path: str) -> None:
    assert 400 <= subscribe(api, "k1", {}, path).status_code < 500


def test_an_answer_is_forgotten_after_24_hours(api: APIClient) -> None:
    first = subscribe(api, "k1")
    IdempotencyKey.objects.update(created_at=F("created_at") - dt.timedelta(hours=25))

    again = subscribe(api, "k1", {**BODY, "subscriber": "other"})

    assert again.status_code == 201
    assert again.json()["id"] != first.json()["id"]


def test_keeps_no_secret_in_clear(api: APIClient) -> None:
    secret = subscribe(api, "k1").json()["secret"]

    assert secret.removeprefix("whsec_") not in str(list(IdempotencyKey.objects.values()))


def test_key_of_a_killed_process_of_the_previous_release_is_free_after_a_minute(
    api: APIClient,
) -> None:
    subscribe(api, "k1")
    IdempotencyKey.objects.update(status=None, body="")

    waiting = subscribe(api, "k1")
    IdempotencyKey.objects.update(created_at=F("created_at") - dt.timedelta(minutes=2))
    freed = subscribe(api, "k1")

    assert waiting.status_code == 409
    assert waiting["Retry-After"] == "1"
    assert freed.status_code == 201


def test_an_answer_that_cannot_be_kept_undoes_the_effect(
    api: APIClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OperationalError("the connection is lost")

    with monkeypatch.context() as patched:
        patched.setattr(idempotency, "settle", fail)
        failed = subscribe(api, "k1")
    left = Subscription.objects.count()
    again = subscribe(api, "k1")

    assert (failed.status_code, left) == (503, 0)
    assert again.status_code == 201
    assert Subscription.objects.count() == 1


def test_an_unsigned_call_gets_no_answer_that_a_signed_one_got(api: APIClient) -> None:
    signed = subscribe(api, "k1", headers={"X-Webhook-Signature": "sha256=00"})

    unsigned = subscribe(api, "k1")

    assert signed.json()["id"] != unsigned.json()["id"]


@pytest.mark.django_db(transaction=True)
def test_twins_that_come_at_once_act_once() -> None:
    barrier = threading.Barrier(6)

    def send() -> tuple[int, str]:
        barrier.wait()
        try:
            answer = subscribe(APIClient(SERVER_NAME="localhost"), "k1")
            return answer.status_code, answer.content.decode()
        finally:
            connection.close()

    with ThreadPoolExecutor(6) as pool:
        answers = [job.result() for job in [pool.submit(send) for _ in range(6)]]

    assert {status for status, _ in answers} == {201}
    assert len({body for _, body in answers}) == 1
    assert Subscription.objects.count() == 1


def test_a_registration_under_a_key_is_reported_once(api: APIClient) -> None:
    body = {"service_name": "mail", "service_url": "http://10.0.0.1"}

    for _ in range(2):
        subscribe(api, "k1", body, "/api/v1/services/register")

    assert Service.objects.filter(name="mail").count() == 1
    assert Event.objects.filter(type="service.registered", service_name="mail").count() == 1


# --- A process that is killed between effect and answer -------------------------------------------

BLOCKED = 77_001
_BLOCK_ANSWERS = """
CREATE FUNCTION block_answer() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN PERFORM pg_advisory_xact_lock_shared(77001); RETURN NEW; END $$;
CREATE TRIGGER block_answer BEFORE UPDATE ON registry_idempotencykey
FOR EACH ROW EXECUTE FUNCTION block_answer();
"""
_UNBLOCK_ANSWERS = (
    "DROP TRIGGER block_answer ON registry_idempotencykey; DROP FUNCTION block_answer;"
)


@pytest.fixture
def blocked_answers() -> Iterator[None]:
    """Hold every request after its effect, before its answer is kept."""
    with connection.cursor() as cursor:
        cursor.execute(_BLOCK_ANSWERS)
        cursor.execute("SELECT pg_advisory_lock(%s)", [BLOCKED])
        yield
        cursor.execute("SELECT pg_advisory_unlock_all()")
        cursor.execute(_UNBLOCK_ANSWERS)


def is_waiting_at_the_answer() -> bool:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = %s AND NOT granted",
            [BLOCKED],
        )
        return bool(cursor.fetchone()[0])


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("blocked_answers")
def test_a_process_killed_between_effect_and_answer_leaves_neither() -> None:
    with webserver.serving() as server, ThreadPoolExecutor(1) as pool:
        first = pool.submit(post_to, server)
        waiting.until(is_waiting_at_the_answer)
        server.signal(signal.SIGKILL)
        with pytest.raises(requests.ConnectionError):
            first.result()
        server.wait()
    waiting.until(lambda: not is_waiting_at_the_answer())

    assert not Subscription.objects.exists()
    assert not IdempotencyKey.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_the_same_key_after_a_crash_gets_the_committed_answer() -> None:
    with webserver.serving() as server:
        first = post_to(server)
        server.restart()
        again = post_to(server)

    assert again.json() == first.json()
    assert again.headers["Idempotent-Replayed"] == "true"
    assert Subscription.objects.count() == 1


def post_to(server: WebServer) -> requests.Response:
    return server.post(SUBSCRIBE, json=BODY, headers={"Idempotency-Key": "k1"})
