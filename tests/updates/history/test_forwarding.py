"""The audit trail is sent on, in its order, and none of it is left out."""

from __future__ import annotations

import hashlib
import hmac
import json
import socket
from collections.abc import Iterator

import pytest
from django.db import transaction
from django.utils import timezone
from pytest_django import Settings
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from updates.history import audit, forwarding
from updates.models import AuditCursor

pytestmark = pytest.mark.django_db


def _write(count: int) -> None:
    for number in range(count):
        with transaction.atomic():
            audit.record("x.y", actor=f"sam-{number}", data={"text": "ü"}, at=timezone.now())


def test_a_webhook_gets_each_entry_once_it_answers(
    settings: Settings, httpserver: HTTPServer
) -> None:
    settings.SAGA_AUDIT_FORWARD = httpserver.url_for("/audit")
    settings.SAGA_AUDIT_FORWARD_SECRET = "a secret"
    taken: list[Request] = []
    statuses = iter([503, 200, 200])

    def answer(request: Request) -> Response:
        taken.append(request)
        return Response(status=next(statuses))

    httpserver.expect_request("/audit").respond_with_handler(answer)
    _write(2)

    assert forwarding.forward() == 0
    assert forwarding.forward() == 2
    _write(1)
    assert forwarding.forward() == 1
    assert forwarding.forward() == 0

    sent = [json.loads(line) for each in taken[1:] for line in each.get_data().splitlines()]
    assert [entry["sequence"] for entry in sent] == [1, 2, 3]
    assert sent[2]["previous_digest"] == sent[1]["digest"]
    body = taken[0].get_data()
    expected = hmac.digest(b"a secret", body, hashlib.sha256).hex()
    assert taken[0].headers["X-Webhook-Signature"] == f"sha256={expected}"


@pytest.fixture
def collector() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(10)
        yield receiver


def test_syslog_gets_a_message_for_each_entry(settings: Settings, collector: socket.socket) -> None:
    settings.SAGA_AUDIT_FORWARD = f"syslog://127.0.0.1:{collector.getsockname()[1]}"
    _write(1)

    assert forwarding.forward() == 1

    head, _, text = collector.recv(65535).partition(b" - audit - ")
    assert head.startswith(b"<110>1 ")
    assert json.loads(text)["actor"] == "sam-0"


def test_syslog_over_tcp_counts_its_octets(settings: Settings) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        settings.SAGA_AUDIT_FORWARD = f"syslog+tcp://127.0.0.1:{server.getsockname()[1]}"
        _write(2)
        assert forwarding.forward() == 2
        connection, _ = server.accept()
        with connection, connection.makefile("rb") as stream:
            read = stream.read()

    first = int(read.partition(b" ")[0])
    rest = read[len(str(first)) + 1 + first :]
    assert len(rest) == len(rest.partition(b" ")[0]) + 1 + int(rest.partition(b" ")[0])


def test_a_collector_that_is_gone_loses_nothing(settings: Settings) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    settings.SAGA_AUDIT_FORWARD = f"syslog+tcp://127.0.0.1:{port}"
    _write(1)

    assert forwarding.forward() == 0
    assert AuditCursor.objects.get().sequence == 0


def test_without_a_receiver_nothing_is_sent(settings: Settings) -> None:
    settings.SAGA_AUDIT_FORWARD = ""
    _write(1)

    assert forwarding.forward() == 0
    assert not AuditCursor.objects.exists()
