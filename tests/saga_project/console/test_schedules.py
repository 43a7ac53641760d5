"""Saga's own schedules are read-only in the admin; those that staff add are theirs."""

from __future__ import annotations

import pytest
from django.test import Client
from django_celery_beat.models import IntervalSchedule, PeriodicTask

from saga_project.console import schedules

pytestmark = pytest.mark.django_db

LIST = "/admin/django_celery_beat/periodictask/"
OWN = "updates: apply policies"


@pytest.fixture
def minute(db: None) -> IntervalSchedule:
    """An interval that one of Saga's schedules and one of the staff's refer to."""
    minute = IntervalSchedule.objects.create(every=60, period="seconds")
    for name in (OWN, "nightly report"):
        PeriodicTask.objects.create(name=name, task="updates.apply_policies", interval=minute)
    return minute


def act(client: Client, action: str) -> None:
    rows = list(PeriodicTask.objects.values_list("pk", flat=True))
    client.post(LIST, {"action": action, "_selected_action": rows, "post": "yes"})


def enabled() -> dict[str, bool]:
    return dict(PeriodicTask.objects.values_list("name", "enabled"))


@pytest.mark.parametrize("action", ["disable_tasks", "toggle_tasks"])
def test_switching_off_reaches_only_what_staff_added(
    admin_client: Client,
    minute: IntervalSchedule,
    action: str,
) -> None:
    act(admin_client, action)

    assert enabled() == {OWN: True, "nightly report": False}


def test_deleting_a_selection_with_one_of_sagas_deletes_nothing(
    admin_client: Client, minute: IntervalSchedule
) -> None:
    act(admin_client, "delete_selected")

    assert enabled() == {OWN: True, "nightly report": True}


def test_the_own_schedule_of_staff_can_be_changed_and_deleted(
    admin_client: Client, minute: IntervalSchedule
) -> None:
    task = PeriodicTask.objects.get(name="nightly report")

    assert 'name="_save"' in admin_client.get(f"{LIST}{task.pk}/change/").content.decode()
    admin_client.post(f"{LIST}{task.pk}/delete/", {"post": "yes"})
    assert enabled() == {OWN: True}


def test_one_of_sagas_shows_but_cannot_be_changed_or_deleted(
    admin_client: Client, minute: IntervalSchedule
) -> None:
    task = PeriodicTask.objects.get(name=OWN)
    page = admin_client.get(f"{LIST}{task.pk}/change/")

    assert (page.status_code, 'name="_save"' in page.content.decode()) == (200, False)
    assert admin_client.post(f"{LIST}{task.pk}/change/", {"name": "x"}).status_code == 403
    assert admin_client.post(f"{LIST}{task.pk}/delete/", {"post": "yes"}).status_code == 403
    assert enabled()[OWN] is True


def test_an_interval_of_sagas_cannot_be_changed_or_deleted(
    admin_client: Client, minute: IntervalSchedule
) -> None:
    place = f"/admin/django_celery_beat/intervalschedule/{minute.pk}"

    assert admin_client.post(f"{place}/change/", {"every": 1, "period": "days"}).status_code == 403
    assert admin_client.post(f"{place}/delete/", {"post": "yes"}).status_code == 403
    minute.refresh_from_db()
    assert (minute.every, OWN in enabled()) == (60, True)


def test_every_schedule_of_the_program_is_known_as_built_in() -> None:
    assert OWN in schedules.built_in()
