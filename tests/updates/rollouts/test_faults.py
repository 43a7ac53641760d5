"""Disks, servers and networks that fail in the middle: the job ends right."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import logging.config
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from django import db
from django.conf import settings as django_settings
from django.db import connection
from django.utils import timezone
from pytest_django import Settings
from redis import Redis

from registry.models import Service
from saga_project.shared import logs, stopping
from tests import waiting
from tests.updates.rollouts import crashing, scenes
from tests.updates.rollouts.conftest import run
from updates.models import Job, Step, Target
from updates.releases import recording
from updates.rollouts import leases, nodes, recovery, runner, watching


def versions(shop: Service) -> list[str | None]:
    return [crashing.current(Path(target.install_root)) for target in shop.targets.all()]


def test_job_ends_correctly_without_redis(
    scene: scenes.Scene, shop: Service, settings: Settings
) -> None:
    job = scene.deploy(shop, "2.0.0")
    dead = {**django_settings.CACHES["default"], "LOCATION": "redis://127.0.0.1:9/0"}
    settings.CACHES = {"default": dead}

    run(job)

    assert job.status == "succeeded", job.error
    assert versions(shop) == ["2.0.0", "2.0.0"]


def test_with_postgresql_restarted_in_the_middle_it_still_ends_right(
    scene: scenes.Scene, shop: Service
) -> None:
    """The server drops the worker's connections in the middle of a step, as a restart does."""
    job = scene.deploy(shop, "2.0.0")
    scene.on_restart = lambda _path: crashing.in_a_transaction_of_its_own(_drop_all_others)

    def work() -> None:
        with contextlib.suppress(db.Error):
            runner.run(job.pk, node="local")

    crashing.run_in_child(work)
    scene.on_restart = lambda _path: None
    in_the_middle = Job.objects.get(pk=job.pk).status
    crashing.bring_to_an_end(job)

    assert in_the_middle == "running"
    crashing.check_end(job, list(shop.targets.all()), status="succeeded", version="2.0.0")


def _drop_all_others() -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


def test_with_the_disk_full_nothing_changes(
    scene: scenes.Scene, shop: Service, limited_file_size: None
) -> None:
    announcement = scene.announce("2.0.0", filler=os.urandom(300_000))
    job = run(scene.deploy_announced(shop, announcement))

    assert job.status == "failed"
    assert "the disk" in job.error
    for target in shop.targets.all():
        crashing.check_current_is_whole(target, allowed={"1.0.0"})


def test_from_whichever_write_on_the_disk_is_full_the_old_version_goes_on(
    scene: scenes.Scene, shop: Service
) -> None:
    job, refused = None, 0
    for writes in range(0, 200, 2):
        job = crashing.run_on_a_full_disk(scene.deploy(shop, f"2.0.{writes}"), writes=writes)
        if job.status == "succeeded":
            break
        refused += 1
        assert (job.status, job.needs_attention) == ("failed", False), job.error
        assert "the disk is full" in job.error
        assert versions(shop) == ["1.0.0", "1.0.0"]

    assert refused >= 8
    assert job is not None
    crashing.check_end(job, list(shop.targets.all()), status="succeeded", version=job.version)


def silence(job: Job) -> None:
    """The job's node was asked again and again for longer than it may take."""
    now = timezone.now()
    since = now - recovery.NODE_DEADLINE - dt.timedelta(seconds=1)
    Job.objects.filter(pk=job.pk).update(waiting_since=since, rang_at=now - recovery.RUNG_EVERY)
    recovery.sweep()
    job.refresh_from_db()


def test_a_node_without_a_worker_fails_its_step_and_says_so(
    scene: scenes.Scene, shop: Service, redis: Redis
) -> None:
    Target.objects.filter(name="target-1").update(node="machine-7")
    job = run(scene.deploy(shop, "2.0.0"))
    recovery.sweep()
    waiting = Job.objects.get(pk=job.pk)

    silence(job)

    assert waiting.status == "running"
    assert job.status == "failed"
    assert "No worker of node 'machine-7'" in job.error
    assert versions(shop) == ["1.0.0", "1.0.0"]


def test_node_with_a_live_worker_may_be_busy(
    scene: scenes.Scene, shop: Service, redis: Redis
) -> None:
    Target.objects.filter(name="target-1").update(node="machine-7")
    nodes.note_life(["node.machine-7"])
    job = run(scene.deploy(shop, "2.0.0"))

    silence(job)

    assert job.status == "running"


def test_a_node_that_dies_before_it_cleaned_up_undoes_nothing(
    scene: scenes.Scene, shop: Service, redis: Redis
) -> None:
    job = scene.deploy(shop, "2.0.0")
    job.steps.filter(name="clean up", target_name="target-0").update(node="machine-7")
    run(job)

    silence(job)

    assert run(job).status == "succeeded", job.error
    assert versions(shop) == ["2.0.0", "2.0.0"]


def test_node_lost_after_its_drain_does_not_delay_the_rollback(
    scene: scenes.Scene, shop: Service, redis: Redis
) -> None:
    """Its instance is put back into the lookups by another, and the first target gets its old version."""
    job = scene.deploy(shop, "2.0.0")
    job.steps.filter(name="switch", target_name="target-1").update(node="machine-7")
    Target.objects.filter(name="target-1").update(node="machine-7")
    run(job)

    silence(job)

    assert run(job).status == "rolled_back", job.error
    assert versions(shop) == ["1.0.0", "1.0.0"]
    assert job.steps.filter(name="undrain", is_rollback=True, status="succeeded").count() == 2


def test_a_message_that_waits_in_its_queue_is_not_sent_again_at_once(
    scene: scenes.Scene, shop: Service
) -> None:
    scene.deploy(shop, "2.0.0")

    assert [recovery.sweep(), recovery.sweep()] == [1, 0]


def test_our_own_silence_is_not_held_against_a_node(scene: scenes.Scene, shop: Service) -> None:
    """Redis or the worker was away for an hour: the node could not poll."""
    Target.objects.filter(name="target-1").update(node="machine-7")
    job = run(scene.deploy(shop, "2.0.0"))
    an_hour_ago = timezone.now() - dt.timedelta(hours=1)
    Job.objects.update(waiting_since=an_hour_ago, rang_at=an_hour_ago)

    recovery.sweep()

    job.refresh_from_db()
    assert job.status == "running"


@contextmanager
def _watching(job: Job, *, node: str) -> Iterator[None]:
    """Check the targets of a node all the time, as its worker does."""
    is_over = threading.Event()

    def work() -> None:
        while not is_over.wait(0.2):
            crashing.in_a_transaction_of_its_own(lambda: watching.make_round(job.pk, node=node))

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()


def test_steps_of_another_node_are_handed_over(scene: scenes.Scene, shop: Service) -> None:
    Target.objects.filter(name="target-1").update(node="machine-7")
    job = scene.deploy(shop, "2.0.0")
    with _watching(job, node="machine-7"):
        for _ in range(20):
            runner.run(job.pk, node="local")
            runner.run(job.pk, node="machine-7")

    job.refresh_from_db()
    assert job.status == "succeeded"
    assert versions(shop) == ["2.0.0", "2.0.0"]


def test_the_placeholder_checksum_of_the_reference_fails_in_the_job(
    scene: scenes.Scene, shop: Service
) -> None:
    good = scene.announce("2.0.0")
    printed = recording.Announcement(
        version="2.0.0", artifact_url=good.artifact_url, checksum="sha256:abc123..."
    )

    job = run(scene.deploy_announced(shop, printed))

    assert job.status == "failed"
    assert "verify" in job.error
    assert "abc123..." in job.error


def test_two_different_artifacts_from_one_url_are_refused(
    scene: scenes.Scene, shop: Service
) -> None:
    """Without a checksum the first download counts: the second target must get the same."""
    unsaid = recording.Announcement(
        version="2.0.0", artifact_url=scene.announce("2.0.0").artifact_url
    )
    job = scene.deploy_announced(shop, unsaid)
    Job.objects.update(artifact_sha256="0" * 64)

    run(job)

    assert job.status == "failed"
    assert "two different artifacts" in job.error


def test_a_release_changed_in_place_is_restored_from_its_backup(
    scene: scenes.Scene, shop: Service
) -> None:
    target = shop.targets.all()[0]
    job = scene.deploy(shop, "bad-2")

    def damage_once(_path: str) -> None:
        scene.on_restart = lambda _path: None
        (Path(target.install_root) / "releases" / "1.0.0" / "VERSION").write_text("damaged")

    scene.on_restart = damage_once

    run(job)

    assert job.status == "rolled_back"
    crashing.check_current_is_whole(target, allowed={"1.0.0"})


def test_a_line_about_a_job_carries_its_id(
    scene: scenes.Scene,
    shop: Service,
    settings: Settings,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "file").touch()
    settings.SAGA_ARTIFACTS_DIR = tmp_path / "file" / "artifacts"
    job = scene.deploy(shop, "2.0.0")

    logging.config.dictConfig(logs.configuration(form="json", level="INFO"))
    try:
        run(job)
    finally:
        logging.config.dictConfig(settings.LOGGING)

    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    said = [line["job_id"] for line in lines if line["event"] == "step failed on disk"]
    assert said == [job.job_id]


@contextmanager
def _stopping_in(step_name: str) -> Iterator[None]:
    """Stop this process as soon as a step of that name is under way, as SIGTERM does."""

    def is_under_way() -> bool:
        try:
            return Step.objects.filter(name=step_name, status="running").exists()
        finally:
            connection.close()

    def stop() -> None:
        waiting.until(is_under_way)
        stopping.begin()
        leases.interrupt_held()

    thread = threading.Thread(target=stop)
    thread.start()
    try:
        yield
    finally:
        thread.join()
        stopping.take_back()


def test_a_worker_that_stops_hands_its_job_over(scene: scenes.Scene, shop: Service) -> None:
    Target.objects.update(drain_seconds=3600)
    job = scene.deploy(shop, "2.0.0")

    with _stopping_in("drain"):
        runner.run(job.pk, node="local")

    job.refresh_from_db()
    assert (job.status, job.lease_owner, job.lease_expires_at) == ("running", "", None)
    assert job.steps.get(name="drain", status="running").runs == 0
    Target.objects.update(drain_seconds=0)
    assert run(job).status == "succeeded", job.error
    assert versions(shop) == ["2.0.0", "2.0.0"]
