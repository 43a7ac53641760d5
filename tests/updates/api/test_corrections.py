"""Entries of the history are listed by number, and corrected by another entry."""

from __future__ import annotations

from typing import Any

import pytest
from rest_framework.test import APIClient

from registry.identity import accounts
from tests import factories
from updates.models import AuditEntry

pytestmark = pytest.mark.django_db
ENTRIES = "/api/v1/history-entries"


@pytest.fixture
def headers() -> dict[str, str]:
    account = accounts.ensure_account("root", scopes=["admin:registry"])
    _, text = accounts.issue_token(account, scopes=["admin:registry"])
    return {"Authorization": f"Bearer {text}"}


def test_a_correction_takes_the_place_of_an_entry(api: APIClient, headers: dict[str, str]) -> None:
    entry = factories.HistoryEntryFactory.create(service_name="shop", status="success")

    def correct(body: dict[str, Any]) -> Any:
        address = f"{ENTRIES}/{entry.pk}/correct"
        return api.post(address, body, format="json", headers=headers)

    nothing = correct({"reason": "why"})
    made = correct({"status": "failed", "reason": "it never started"})
    again = correct({"status": "success", "reason": "it did"})

    assert nothing.status_code == 400
    assert made.status_code == 201, made.content
    assert (made.json()["status"], made.json()["corrects"]) == ("failed", entry.pk)
    assert again.status_code == 409
    assert api.get(f"{ENTRIES}/{entry.pk}").json()["corrected_by"] == made.json()["id"]
    assert api.get("/api/v1/updates/history/shop").json()["history"][0]["status"] == "failed"
    [recorded] = AuditEntry.objects.all()
    assert (recorded.actor, recorded.action) == ("root", "history.corrected")


def test_a_correction_takes_a_token_of_an_administrator(api: APIClient) -> None:
    entry = factories.HistoryEntryFactory.create()

    answer = api.post(f"{ENTRIES}/{entry.pk}/correct", {"status": "failed", "reason": "x"})

    assert answer.status_code == 401
