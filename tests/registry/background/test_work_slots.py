"""One holder for each place, for as long as it renews."""

from __future__ import annotations

import pytest

from registry.background import work_slots
from registry.models import WorkSlot

pytestmark = pytest.mark.django_db


def test_each_place_has_one_holder() -> None:
    slots = [work_slots.acquire("paint", seconds=60, places=2) for _ in range(3)]

    assert [slot.place if slot else None for slot in slots] == [0, 1, None]
    assert work_slots.held("paint") == 2
    assert work_slots.acquire("sing", seconds=60) is not None


def test_an_expired_slot_goes_to_the_next_and_its_holder_loses_it() -> None:
    dead = work_slots.acquire("paint", seconds=0)
    assert dead

    heir = work_slots.acquire("paint", seconds=60)

    assert heir
    assert heir.token != dead.token
    assert not work_slots.renew(dead, seconds=60)
    assert work_slots.renew(heir, seconds=60)


def test_a_slot_that_is_renewed_stays() -> None:
    slot = work_slots.acquire("paint", seconds=0)
    assert slot

    assert work_slots.renew(slot, seconds=60)
    assert work_slots.acquire("paint", seconds=60) is None


def test_giving_up_frees_only_what_is_ones_own() -> None:
    lost = work_slots.acquire("paint", seconds=0)
    heir = work_slots.acquire("paint", seconds=60)
    assert lost
    assert heir

    work_slots.give_up(lost)
    assert work_slots.held("paint") == 1

    work_slots.give_up(heir)
    assert not WorkSlot.objects.exists()
