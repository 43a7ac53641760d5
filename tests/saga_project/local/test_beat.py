"""Of several beats the one with the lease sends."""

from __future__ import annotations

import pytest

from saga_project import celery
from saga_project.local.beat import LONGEST_TICK_SECONDS, ElectedScheduler

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis")]


def test_one_beat_leads_and_another_takes_over() -> None:
    first, second = (ElectedScheduler(app=celery.app) for _ in range(2))

    first.tick()
    pause_seconds = second.tick()
    leaders = [first.election.is_leading, second.election.is_leading]
    first.close()
    second.tick()

    assert leaders == [True, False]
    assert pause_seconds == LONGEST_TICK_SECONDS
    assert second.election.is_leading
