"""What staff decide in the console about services that are held back from expiring."""

from __future__ import annotations

import pytest
from django.contrib import admin
from django.urls import reverse

from registry import presence
from registry.background import protection
from tests.factories import ServiceFactory
from tests.saga_project.console.conftest import Member
from updates.models import AuditEntry

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis")]

LABELS = {"gone": "They are really gone", "hold": "Hold all of them"}


def hold_back(*members: str) -> None:
    """Note a sweep that held these back, as the sweeps do."""
    due = dict.fromkeys(members, 0)
    seen = presence.Overdue(now_us=1, total=30, due=due, holds={}, is_anyone_receiving=True)
    protection.note(seen, members)


def address(verb: str) -> str:
    return reverse(f"{admin.site.name}:console_protection_verb", args=[verb])


@pytest.mark.parametrize("verb", LABELS)
def test_an_operator_decides_about_suspects(member: Member, verb: str) -> None:
    ServiceFactory.create()
    hold_back("a/default")
    client = member("operators")
    before = client.get("/admin/").content.decode()

    question = client.get(address(verb)).content.decode()
    client.post(address(verb))

    assert LABELS[verb] in before
    assert LABELS[verb] in question
    assert protection.decision() == verb
    assert "Staff" in client.get("/admin/").content.decode()
    assert AuditEntry.objects.get(action="protection.decided").actor == "one-of-operators"


def test_without_suspects_nothing_is_decided(member: Member) -> None:
    ServiceFactory.create()
    hold_back()
    client = member("operators")

    answer = client.post(address("gone"), follow=True)

    assert protection.decision() is None
    assert "No instance is held back" in answer.content.decode()
    assert LABELS["gone"] not in client.get("/admin/").content.decode()


def test_a_viewer_sees_no_buttons(member: Member) -> None:
    ServiceFactory.create()
    hold_back("a/default")

    page = member("viewers").get("/admin/").content.decode()

    assert "Protection mode" in page
    assert LABELS["gone"] not in page
