"""A message id acts once, also when many copies arrive at the same moment."""

from __future__ import annotations

import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from django.db import connection
from django.utils import timezone
from rest_framework.test import APIClient

from registry import operations as registry_operations
from registry.models import Event
from webhooks.models import InboundCall

COPIES = 100
AT_ONCE = 20


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("redis")
def test_a_hundred_copies_at_the_same_moment_act_once() -> None:
    registration = registry_operations.Registration(
        service_name="payment-service", url="http://localhost:8001"
    )
    registry_operations.register(registration, by=None, now=timezone.now())
    raw = json.dumps({"service_name": "payment-service", "event": "crashed"}).encode()
    together = Barrier(AT_ONCE)

    def send() -> list[tuple[int, bytes]]:
        together.wait(30)
        try:
            return [_send(raw) for _ in range(COPIES // AT_ONCE)]
        finally:
            connection.close()

    with ThreadPoolExecutor(AT_ONCE) as pool:
        jobs = [pool.submit(send) for _ in range(AT_ONCE)]
        answers = [answer for job in jobs for answer in job.result()]

    assert len(answers) == COPIES
    assert len(set(answers)) == 1
    assert answers[0][0] == 200
    assert Event.objects.filter(type="lifecycle.crashed").count() == 1
    verdicts = Counter(InboundCall.objects.values_list("verdict", flat=True))
    assert verdicts == {"accepted": 1, "repeated": COPIES - 1}


def _send(raw: bytes) -> tuple[int, bytes]:
    response = APIClient(SERVER_NAME="localhost").post(
        "/api/v1/webhooks/lifecycle",
        raw,
        content_type="application/json",
        headers={"webhook-id": "msg_1"},
    )
    return response.status_code, response.content
