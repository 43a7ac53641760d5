"""Lists as files, by the reader's session, with the list's filters."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone

from tests import factories
from tests.saga_project.console import rows
from tests.saga_project.console.conftest import Member
from updates.history import audit

HISTORY = "/admin/updates/historyentry/"
EXPORTED = [
    HISTORY,
    "/admin/updates/job/",
    "/admin/updates/auditentry/",
    "/admin/webhooks/delivery/",
]


def _read(answer: Any) -> str:
    assert answer.status_code == 200
    return b"".join(answer.streaming_content).decode()


@pytest.mark.parametrize("address", EXPORTED)
def test_a_list_links_to_its_rows_as_files(address: str, member: Member, redis: object) -> None:
    rows.make()
    with transaction.atomic():
        audit.record("x.y", actor="sam", at=timezone.now())
    client = member("viewers")

    page = client.get(address).content.decode()
    table = list(csv.DictReader(io.StringIO(_read(client.get(f"{address}export/csv/")))))
    listed = json.loads(_read(client.get(f"{address}export/json/")))

    assert f'<a href="{address}export/csv/?">CSV</a>' in page
    assert table
    assert [list(row) for row in table] == [list(row) for row in listed]


def test_an_export_has_what_the_list_shows(member: Member) -> None:
    factories.HistoryEntryFactory.create(service_name="shop", status="failed", detail="=cmd()")
    factories.HistoryEntryFactory.create(service_name="shop", status="success")
    client = member("viewers")

    text = _read(client.get(f"{HISTORY}export/csv/?status__exact=failed"))

    [row] = csv.DictReader(io.StringIO(text))
    assert (row["status"], row["detail"]) == ("failed", "'=cmd()")
    assert client.get(f"{HISTORY}export/xml/").status_code == 404
    assert client.get(f"{HISTORY}export/csv/?nonsense=1").status_code == 404
    assert json.loads(_read(client.get(f"{HISTORY}export/json/?q=none"))) == []


def test_an_export_takes_a_session_with_the_permission(client: Any, member: Member) -> None:
    stranger = member("viewers")
    User.objects.get(username="one-of-viewers").groups.clear()

    assert client.get(f"{HISTORY}export/csv/").status_code == 302
    assert stranger.get(f"{HISTORY}export/csv/").status_code == 403


def test_an_export_of_deliveries_masks_their_address(member: Member) -> None:
    factories.DeliveryFactory.create(url="https://hooks.example/T0/secret-path?token=canary")

    text = _read(member("viewers").get("/admin/webhooks/delivery/export/json/"))

    assert "canary" not in text
    assert "secret-path" not in text
