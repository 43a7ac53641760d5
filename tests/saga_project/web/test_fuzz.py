"""No malformed or hostile request is answered by 5xx; ``python -m bench.faults.fuzz`` sends more of them."""

from __future__ import annotations

import json
import random

import pytest

from registry.identity import accounts
from saga_project.web import openapi
from tests import fuzzing
from tests.webserver import WebServer

pytestmark = pytest.mark.django_db(transaction=True)

CONNECTIONS = 400


def test_no_request_over_a_raw_socket_is_answered_by_5xx(server: WebServer, redis: object) -> None:
    account = accounts.ensure_account("fuzz", scopes=[accounts.ADMIN_SCOPE])
    _, token = accounts.issue_token(account, scopes=[accounts.ADMIN_SCOPE])
    routes = fuzzing.routes(json.loads(openapi.document("open")))
    fuzzer = fuzzing.Fuzzer(random.Random(18), routes, token)
    outcome = fuzzing.Outcome()

    fuzzing.run(server.port, (fuzzer.connection() for _ in range(CONNECTIONS)), outcome)

    assert outcome.faults == []
    assert outcome.unanswered < CONNECTIONS / 10
    assert all(outcome.statuses[status] for status in (200, 400, 401, 404, 405, 413, 415, 431))
    assert all(process.poll() is None for process in server.processes)
