"""Leases on jobs: one worker at a time, for as long as it renews its lease.

A lease lasts 30 seconds on PostgreSQL's clock and is renewed while its worker lives. Every takeover
raises the job's fence, and every write asks for it: a worker that was frozen and wakes up writes nothing.
"""

from __future__ import annotations

import datetime as dt
import logging
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import psutil
from django import db
from django.db import transaction
from django.db.models import Func, Q, Value
from django.db.models.functions import Now

from saga_project.shared import machines
from updates.models import Job
from updates.step_context import Interrupted

logger = logging.getLogger(__name__)

LEASE = dt.timedelta(seconds=30)
RENEWED_EVERY_SECONDS = 8.0
WATCHED_EVERY_SECONDS = 1.0


class LeaseLost(Exception):
    """The lease is lost. Stop without writing anything."""


@dataclass(kw_only=True)
class Lease:
    job_pk: int
    job_id: str
    fence: int
    renewed_at: float = field(default_factory=time.monotonic)
    job_status: str = Job.Status.RUNNING
    is_over: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def writing(self) -> Iterator[Job]:
        """Yield the locked job inside a transaction; raises LeaseLost unless it is still ours."""
        with transaction.atomic():
            job = (
                Job.objects.select_for_update(of=("self",))
                .select_related("service", "release")
                .filter(pk=self.job_pk, fence=self.fence)
                .first()
            )
            if job is None or job.status not in Job.LIVE:
                raise LeaseLost
            yield job

    def check(self) -> None:
        """Raise LeaseLost unless the job is still ours."""
        if not Job.objects.filter(pk=self.job_pk, fence=self.fence, status__in=Job.LIVE).exists():
            raise LeaseLost

    def checkpoint(self) -> None:
        """Raise Interrupted where the step under way should end; cheap, for use between chunks."""
        is_late = time.monotonic() - self.renewed_at > LEASE.total_seconds()
        if self.is_over.is_set() or is_late:
            raise Interrupted

    def wait(self, seconds: float) -> None:
        """Sleep, but wake up where the step should end."""
        self.is_over.wait(seconds)
        self.checkpoint()


#: The leases of this process, by job.
_held: dict[int, Lease] = {}


def _owner() -> str:
    started_at = psutil.Process().create_time()
    return f"{machines.name()}/{os.getpid()}/{started_at:.2f}"


def take(job_pk: int) -> Lease | None:
    """Acquire the job unless a live worker holds it or it must not run now."""
    is_free = Q(lease_expires_at=None) | Q(lease_expires_at__lt=Now())
    with transaction.atomic():
        taken = Job.objects.filter(is_free, pk=job_pk, status__in=Job.WORKED_ON).update(
            fence=Func(Value("updates_fence"), function="nextval"),
            lease_owner=_owner(),
            lease_expires_at=Now() + LEASE,
        )
        if not taken:
            return None
        job = Job.objects.only("job_id", "fence", "status").get(pk=job_pk)
    return Lease(job_pk=job_pk, job_id=job.job_id, fence=job.fence, job_status=job.status)


def renew(lease: Lease) -> None:
    """Renew the lease; the caller holds the job's lock, so the lease is still its own."""
    Job.objects.filter(pk=lease.job_pk, fence=lease.fence).update(lease_expires_at=Now() + LEASE)
    lease.renewed_at = time.monotonic()
    lease.is_over.clear()


def release(lease: Lease) -> None:
    Job.objects.filter(pk=lease.job_pk, fence=lease.fence).update(
        lease_owner="", lease_expires_at=None
    )


def interrupt_held() -> None:
    """End the steps that this process has under way at their next checkpoint."""
    for lease in list(_held.values()):
        lease.is_over.set()


def release_held() -> None:
    """Free all jobs of this process, which must end at once afterwards."""
    for lease in list(_held.values()):
        release(lease)


@contextmanager
def kept(lease: Lease) -> Iterator[None]:
    """Renew the lease in a thread until the block ends, and watch whether the job is taken or stopped."""
    is_done = threading.Event()
    keeper = threading.Thread(target=_keep, args=(lease, is_done), name="saga-lease", daemon=True)
    keeper.start()
    _held[lease.job_pk] = lease
    try:
        yield
    finally:
        _held.pop(lease.job_pk, None)
        is_done.set()
        keeper.join()


def _keep(lease: Lease, is_done: threading.Event) -> None:
    try:
        while not is_done.wait(WATCHED_EVERY_SECONDS):
            _watch(lease)
    finally:
        db.connections.close_all()


def _watch(lease: Lease) -> None:
    asked_at = time.monotonic()
    try:
        mine = Job.objects.filter(pk=lease.job_pk, fence=lease.fence)
        if asked_at - lease.renewed_at < RENEWED_EVERY_SECONDS:
            status = mine.values_list("status", flat=True).first()
        else:
            renewed = mine.update(lease_expires_at=Now() + LEASE)
            status = lease.job_status if renewed else None
            lease.renewed_at = asked_at if renewed else lease.renewed_at
    except db.Error:
        # The database may be back before the lease is over; checkpoint() decides by the clock.
        db.connections.close_all()
        logger.warning("lease not renewed", extra={"job_id": lease.job_id}, exc_info=True)
        return
    has_turned = status == Job.Status.ROLLING_BACK != lease.job_status
    if status not in Job.LIVE or has_turned:
        lease.is_over.set()


def free_the_dead() -> int:
    """Free the jobs of workers on this machine that are no more, long before their leases end."""
    freed = 0
    held = Job.objects.filter(status__in=Job.LIVE, lease_expires_at__gte=Now())
    for pk, fence, owner in held.values_list("pk", "fence", "lease_owner"):
        if owner.startswith(f"{machines.name()}/") and not _lives(owner):
            freed += Job.objects.filter(pk=pk, fence=fence).update(
                lease_expires_at=None, rang_at=None
            )
    return freed


def _lives(owner: str) -> bool:
    pid, started_at = owner.rsplit("/", 2)[1:]
    try:
        process = psutil.Process(int(pid))
        is_same = abs(process.create_time() - float(started_at)) < 1
        return is_same and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
