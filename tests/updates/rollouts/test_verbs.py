"""What people may do while a deployment is under way, at real moments of real ones."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest
from django.utils import timezone

from registry.models import Service
from tests.updates.rollouts import crashing, scenes
from tests.updates.rollouts.conftest import run
from updates import errors, operations
from updates.models import HistoryEntry, Job, Release, Step, Target
from updates.rollouts import nodes, recovery

BY_HAND = {"steps": [{"weight": 50, "pause_seconds": None}]}


def canary(scene: scenes.Scene, shop: Service, **options: object) -> Job:
    """A canary of 2.0.0 that has reached its pause."""
    announcement = scene.announce("2.0.0")
    job = run(
        operations.deploy(
            shop, announcement, by="ci", strategy="canary", options={**BY_HAND, **options}
        )
    )
    assert job.status == "paused", job.error
    return job


def versions(shop: Service) -> list[str | None]:
    return [crashing.current(Path(target.install_root)) for target in shop.targets.all()]


def test_a_canary_waits_with_one_target_and_its_share_of_the_lookups(
    scene: scenes.Scene, shop: Service
) -> None:
    canary(scene, shop)

    shop.refresh_from_db()
    assert versions(shop) == ["2.0.0", "1.0.0"]
    assert (shop.canary_version, shop.canary_percent) == ("2.0.0", 50)


def test_a_promoted_canary_goes_everywhere(scene: scenes.Scene, shop: Service) -> None:
    job = canary(scene, shop)

    operations.promote(job.job_id, by="anna")

    assert run(job).status == "succeeded"
    shop.refresh_from_db()
    assert versions(shop) == ["2.0.0", "2.0.0"]
    assert shop.canary_percent is None


def test_an_aborted_canary_is_rolled_back_and_its_release_is_quarantined(
    scene: scenes.Scene, shop: Service
) -> None:
    job = canary(scene, shop)

    operations.abort(job.job_id, by="anna")

    assert run(job).status == "rolled_back"
    shop.refresh_from_db()
    assert versions(shop) == ["1.0.0", "1.0.0"]
    assert shop.canary_percent is None
    assert Release.objects.get(version="2.0.0").state == "quarantined"


def test_one_promotion_ends_one_pause_a_full_one_all(scene: scenes.Scene, shop: Service) -> None:
    steps = [{"weight": weight, "pause_seconds": None} for weight in (10, 50, 90)]
    job = canary(scene, shop, steps=steps)

    operations.promote(job.job_id, by="anna")
    after_one = run(job).status
    operations.promote(job.job_id, by="anna", is_fully=True)

    assert after_one == "paused"
    assert run(job).status == "succeeded"


def test_a_timed_pause_ends_by_the_sweep(scene: scenes.Scene, shop: Service) -> None:
    job = canary(scene, shop, steps=[{"weight": 50, "pause_seconds": 3600}])
    recovery.sweep()
    still = Job.objects.get(pk=job.pk).status
    Job.objects.update(resume_at=timezone.now())

    recovery.sweep()

    assert still == "paused"
    assert run(job).status == "succeeded"


@pytest.mark.parametrize(
    ("on_expiry", "end", "ran"),
    [("rollback", "rolled_back", "1.0.0"), ("promote", "succeeded", "2.0.0")],
)
def test_a_pause_that_expires_is_rolled_back_or_resumed_as_configured(
    scene: scenes.Scene, shop: Service, on_expiry: str, end: str, ran: str
) -> None:
    step = {"weight": 50, "pause_seconds": None, "expires_after": "1h", "on_expiry": on_expiry}
    job = canary(scene, shop, steps=[step])
    recovery.sweep()
    still = Job.objects.get(pk=job.pk).status
    Job.objects.update(resume_at=timezone.now())

    recovery.sweep()

    assert (still, job.on_expiry) == ("paused", on_expiry)
    assert job.resume_at is not None
    assert run(job).status == end
    assert versions(shop) == [ran, ran]
    if end == "rolled_back":
        assert "not promoted in time" in job.error


def test_an_expiring_pause_that_is_promoted_goes_on(scene: scenes.Scene, shop: Service) -> None:
    job = canary(scene, shop, expires_after=3600)

    operations.promote(job.job_id, by="anna")

    assert (run(job).status, job.on_expiry, job.resume_at) == ("succeeded", "", None)


def test_a_paused_job_does_nothing_until_it_is_resumed(scene: scenes.Scene, shop: Service) -> None:
    job = scene.deploy(shop, "2.0.0")
    operations.pause(job.job_id, by="anna")
    while_paused = run(job)

    operations.resume(job.job_id, by="anna")

    assert while_paused.status == "paused"
    assert not Step.objects.filter(job=job, runs__gt=0).exists()
    assert run(job).status == "succeeded"


def test_an_inconclusive_gate_pauses_until_a_person_decides(
    scene: scenes.Scene, shop: Service
) -> None:
    Target.objects.update(metric_url=f"{scene.base_url}/no-prometheus", metric_query="errors")
    job = run(scene.deploy(shop, "2.0.0"))
    waiting = (job.status, job.pause_reason)

    operations.promote(job.job_id, by="anna", is_fully=True)

    assert waiting == ("paused", "The metric has no value.")
    assert run(job).status == "succeeded"


def _pause(job: Job) -> bool:
    """Pause, and say whether the worker still holds its lease."""
    return operations.pause(job.job_id, by="anna").lease_expires_at is not None


def test_the_worker_ends_its_step_before_a_pause(scene: scenes.Scene, shop: Service) -> None:
    job = scene.deploy(shop, "2.0.0")
    held: list[bool] = []

    def pause_once(path: str) -> None:
        if not held:
            crashing.in_a_transaction_of_its_own(lambda: held.append(_pause(job)))

    scene.on_restart = pause_once

    assert run(job).status == "paused"
    assert held == [True]
    assert job.steps.filter(name="restart", status="succeeded").count() == 1


def test_pause_during_a_failing_step_does_not_resume_past_it(
    scene: scenes.Scene, shop: Service
) -> None:
    """The gate fails while the job is paused: the rollback begins at once."""
    job = scene.deploy(shop, "bad-2")
    held: list[bool] = []

    def pause_once(path: str) -> None:
        if not held and path.endswith("/0"):
            crashing.in_a_transaction_of_its_own(lambda: held.append(_pause(job)))

    scene.on_health = pause_once

    assert run(job).status == "rolled_back", job.error
    assert "health target-0: Not healthy in time" in job.error
    assert versions(shop) == ["1.0.0", "1.0.0"]


def test_pause_during_a_failing_download_leaves_a_failed_job(
    scene: scenes.Scene, shop: Service
) -> None:
    job = scene.deploy(shop, "2.0.0")
    scene.artifacts.clear()
    scene.on_download = lambda _path: crashing.in_a_transaction_of_its_own(lambda: _pause(job))

    assert run(job).status == "failed"
    assert "answered 404" in job.error


def test_an_abort_while_a_worker_is_at_it_turns_it_around(
    scene: scenes.Scene, shop: Service
) -> None:
    job = scene.deploy(shop, "2.0.0")
    asked: list[str] = []

    def abort_once(path: str) -> None:
        if not asked:
            asked.append(path)
            crashing.in_a_transaction_of_its_own(lambda: operations.abort(job.job_id, by="anna"))

    scene.on_restart = abort_once

    assert run(job).status == "rolled_back"
    assert "Aborted by anna" in job.error
    assert versions(shop) == ["1.0.0", "1.0.0"]


def test_the_time_of_a_pause_is_not_counted_as_work(scene: scenes.Scene, shop: Service) -> None:
    job = canary(scene, shop)
    hour = dt.timedelta(hours=1)
    Job.objects.update(
        paused_at=timezone.now() - hour, started_at=timezone.now() - hour, created_at=timezone.now()
    )

    operations.promote(job.job_id, by="anna")
    run(job)

    entry = HistoryEntry.objects.get(job_id=job.job_id)
    assert entry.paused_seconds == pytest.approx(3600, abs=60)
    assert entry.duration_seconds is not None
    assert entry.duration_seconds < 120


# --- When the way back fails ------------------------------------------------------------------------


@pytest.fixture
def stranded(scene: scenes.Scene, shop: Service) -> Job:
    """A job with an unfit new version and an old one that does not start again either."""
    for target in shop.targets.all():
        target.health_url = f"{scene.base_url}/nothing-here"
        target.save()
    return run(scene.deploy(shop, "2.0.0"))


def test_failed_rollback_keeps_the_service_locked(
    scene: scenes.Scene, shop: Service, stranded: Job
) -> None:
    assert (stranded.status, stranded.needs_attention) == ("failed", True)
    assert "rollback failed too" in stranded.error
    with pytest.raises(errors.JobInProgress, match="staff must acknowledge"):
        scene.deploy(shop, "3.0.0")


def test_once_acknowledged_the_service_may_be_deployed_to(
    scene: scenes.Scene, shop: Service, stranded: Job
) -> None:
    operations.acknowledge(stranded.job_id, by="anna")

    assert scene.deploy(shop, "3.0.0").status == "queued"


def test_rollback_can_be_retried(scene: scenes.Scene, shop: Service, stranded: Job) -> None:
    Target.objects.update(health_url="")

    again = operations.retry(stranded.job_id, by="anna")

    assert again.pk == stranded.pk
    assert run(stranded).status == "rolled_back"
    assert versions(shop) == ["1.0.0", "1.0.0"]


def test_the_other_targets_go_back_when_one_cannot(scene: scenes.Scene, shop: Service) -> None:
    """The second target's way back fails; the first one is restored all the same."""
    first, second = shop.targets.all()
    second.health_url = f"{scene.base_url}/nothing-here"
    second.save()

    job = run(scene.deploy(shop, "2.0.0"))

    assert (job.status, job.needs_attention) == ("failed", True)
    assert [entry["target"] for entry in job.attention] == [second.name]
    assert crashing.current(Path(first.install_root)) == "1.0.0"
    restored = job.steps.filter(target=first, is_rollback=True)
    assert set(restored.values_list("status", flat=True)) == {"succeeded"}


def test_a_rollback_that_lacked_a_node_goes_on_once_its_worker_returns(
    shop: Service, stranded: Job
) -> None:
    lost = [{**entry, "is_node_lost": True} for entry in stranded.attention]
    Job.objects.filter(pk=stranded.pk).update(attention=lost)
    Target.objects.update(health_url="")

    nodes.note_life(["node.local"])
    recovery.sweep()

    assert run(stranded).status == "rolled_back"
    assert versions(shop) == ["1.0.0", "1.0.0"]


def test_retry_during_a_rollback_begins_it_anew(scene: scenes.Scene, shop: Service) -> None:
    """The worker that is at a restore loses the job; the next one restores every target."""
    job = canary(scene, shop)
    operations.abort(job.job_id, by="anna")

    again = operations.retry(job.job_id, by="anna")

    assert again.pk == job.pk
    assert run(job).status == "rolled_back"
    assert versions(shop) == ["1.0.0", "1.0.0"]
    assert job.steps.filter(is_rollback=True, message="The rollback began anew.").exists()


def test_abort_during_a_rollback_leaves_the_targets_as_they_are(
    scene: scenes.Scene, shop: Service
) -> None:
    job = canary(scene, shop)
    operations.abort(job.job_id, by="anna")

    operations.abort(job.job_id, by="berta")
    job.refresh_from_db()

    assert (job.status, job.needs_attention, job.acknowledged_by) == ("failed", False, "berta")
    assert versions(shop) == ["2.0.0", "1.0.0"]
    assert HistoryEntry.objects.get(job_id=job.job_id).running_version is None
