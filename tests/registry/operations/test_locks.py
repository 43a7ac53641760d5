"""What changes a row of a service or an account, beside what adds rows that refer to it."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection, transaction
from rest_framework.test import APIClient

from registry.models import Service, ServiceAccount
from saga_project.shared import locks
from tests import factories, waiting
from tests.api_clients import Bearer, Headers
from tests.updates.api.test_nodes import closing_connection, is_a_lock_awaited

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis")]
SHOP = "/services/shop"
CHANGES: dict[str, tuple[str, str, dict[str, Any]]] = {
    "labels": ("patch", f"{SHOP}/labels", {"labels": {"team": "pay"}}),
    "notes": ("patch", f"{SHOP}/notes", {"notes": "Ask the team."}),
    "maintenance": ("put", f"{SHOP}/maintenance", {"reason": "Moves."}),
    "deregistration": ("delete", SHOP, {}),
    "subscription": ("post", "/subscriptions", {"service_name": "shop", "subscriber": "cart"}),
    "file": ("post", "/apply", {"services": [{"name": "shop", "description": "Sells."}]}),
    "account": ("patch", "/accounts/shop-team", {"description": "Sells."}),
}


@pytest.fixture
def headers(bearer: Bearer) -> Headers:
    bearer("registry:manage", account="shop-team")
    factories.ServiceFactory.create(name="shop")
    return bearer("admin:registry", account="boss")


def caller(headers: Headers) -> Callable[[str], int]:
    """Return a function that makes a change on a connection of its own, and returns the status."""

    def call(change: str) -> int:
        method, path, body = CHANGES[change]
        send = getattr(APIClient(SERVER_NAME="localhost"), method)
        return int(send(f"/api/v1{path}", body, format="json", headers=headers).status_code)

    return call


@pytest.mark.parametrize("change", CHANGES)
def test_others_may_refer_to_a_row_whose_change_awaits_the_audit_trail(
    headers: Headers, change: str
) -> None:
    """PostgreSQL checks references at the end of a transaction, which has the lock of the trail by then."""
    model: Any = ServiceAccount if change == "account" else Service
    name = "shop-team" if change == "account" else "shop"

    with ThreadPoolExecutor(max_workers=1) as pool:
        with transaction.atomic():
            locks.acquire(locks.Lock.AUDIT_CHAIN)
            made = pool.submit(closing_connection, lambda: caller(headers)(change))
            waiting.until(is_a_lock_awaited)
            with connection.cursor() as cursor:
                cursor.execute(
                    f"SELECT FROM {model._meta.db_table} WHERE name = %s FOR KEY SHARE NOWAIT",
                    [name],
                )
        status = made.result(timeout=60)

    assert status in (200, 201, 204)
