"""Notes of services over HTTP."""

from __future__ import annotations

import pytest
from rest_framework.test import APIClient

from tests import factories
from updates.models import AuditEntry

pytestmark = pytest.mark.django_db
NOTES = "/api/v1/services/shop/notes"


def test_notes_are_changed_and_recorded(api: APIClient) -> None:
    factories.ServiceFactory.create(name="shop", notes="old")
    etag = api.get(NOTES)["ETag"]

    changed = api.patch(NOTES, {"notes": ""}, format="json", headers={"If-Match": etag})
    stale = api.patch(NOTES, {"notes": "x"}, format="json", headers={"If-Match": etag})

    assert changed.json() == {"service_name": "shop", "notes": ""}
    assert stale.status_code == 412
    assert api.get(NOTES).json()["notes"] == ""
    entry = AuditEntry.objects.get()
    assert (entry.action, entry.service_name) == ("service.notes_changed", "shop")
    assert (entry.data["before"], entry.data["after"]) == ({"notes": "old"}, {"notes": ""})


@pytest.mark.parametrize("body", [{}, {"notes": None}, {"notes": 1}, {"notes": "x" * 20_001}])
def test_what_are_no_notes_is_refused(api: APIClient, body: dict[str, object]) -> None:
    factories.ServiceFactory.create(name="shop")

    assert api.patch(NOTES, body, format="json").status_code == 400
    assert api.patch(NOTES.replace("shop", "none"), {"notes": ""}, format="json").status_code == 404
