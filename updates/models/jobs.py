"""Deployments: a job is a row, its steps are its journal. The rows hold the state; Celery wakes workers."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from registry.models import MAX_NAME_LENGTH, MAX_URL_LENGTH, Service
from updates.models.release import Release
from updates.models.targets import Target


class JobQuerySet(models.QuerySet["Job"]):
    def live(self) -> JobQuerySet:
        return self.filter(status__in=Job.LIVE)

    def locking(self) -> JobQuerySet:
        """Jobs that keep their service from getting another one."""
        return self.filter(Job.LOCKING)

    def due(self) -> JobQuerySet:
        """Jobs that are due and have no worker, by PostgreSQL's clock."""
        is_free = Q(lease_expires_at=None) | Q(lease_expires_at__lt=Now())
        is_waiting_over = Q(status=Job.Status.PAUSED, resume_at__lte=Now())
        return self.filter(Q(status__in=Job.WORKED_ON) | is_waiting_over).filter(is_free)


class Job(models.Model):
    class Kind(models.TextChoices):
        DEPLOY = "deploy"
        ROLLBACK = "rollback"

    class Status(models.TextChoices):
        QUEUED = "queued"
        RUNNING = "running"
        PAUSED = "paused"
        ROLLING_BACK = "rolling_back", "rolling back"
        SUCCEEDED = "succeeded"
        FAILED = "failed"
        ROLLED_BACK = "rolled_back", "rolled back"
        CANCELLED = "cancelled"

    WORKED_ON = (Status.QUEUED, Status.RUNNING, Status.ROLLING_BACK)
    LIVE = (*WORKED_ON, Status.PAUSED)
    LOCKING = Q(status__in=LIVE) | Q(needs_attention=True)
    #: Each status and those from which it may be reached (saga_project.shared.transitions).
    MOVES = {
        Status.QUEUED: (Status.PAUSED,),
        Status.RUNNING: (Status.QUEUED, Status.PAUSED),
        Status.PAUSED: (Status.QUEUED, Status.RUNNING),
        # From failed only with needs_attention: staff have the rollback tried again.
        Status.ROLLING_BACK: (Status.RUNNING, Status.PAUSED, Status.FAILED),
        Status.SUCCEEDED: (Status.RUNNING,),
        Status.FAILED: (Status.RUNNING, Status.ROLLING_BACK),
        Status.ROLLED_BACK: (Status.ROLLING_BACK,),
        # From rolling_back where the job was aborted with instances drained, but nothing switched.
        Status.CANCELLED: (Status.QUEUED, Status.RUNNING, Status.PAUSED, Status.ROLLING_BACK),
    }

    job_id = models.CharField(max_length=300, unique=True, db_collation="C")
    kind = models.CharField(max_length=8, choices=Kind.choices)
    service = models.ForeignKey(Service, on_delete=models.CASCADE, related_name="jobs")
    release = models.ForeignKey(
        Release, null=True, blank=True, on_delete=models.SET_NULL, related_name="jobs"
    )
    version = models.CharField(max_length=MAX_NAME_LENGTH)
    previous_version = models.CharField(max_length=MAX_NAME_LENGTH, blank=True)
    strategy = models.CharField(max_length=10)
    strategy_options: models.JSONField[Any, Any] = models.JSONField(default=dict, blank=True)
    selection: models.JSONField[Any, Any] = models.JSONField(
        default=dict,
        blank=True,
        help_text="Target names and labels, where not all targets are meant.",
    )
    reason = models.TextField(blank=True, help_text="Why it was asked for.")
    artifact_url = models.CharField(max_length=MAX_URL_LENGTH, blank=True)
    artifact_type = models.CharField(max_length=8, default="binary")
    checksum = models.CharField(max_length=256, blank=True)
    artifact_sha256 = models.CharField(
        max_length=64, blank=True, help_text="Of the first download; every other must be the same."
    )
    request_digest = models.CharField(
        max_length=64, help_text="The same request finds its job by it."
    )
    requested_by = models.CharField(max_length=255, blank=True)

    metrics: models.JSONField[Any, Any] = models.JSONField(
        default=list,
        db_default=[],
        blank=True,
        help_text="Those of the policy when it was asked for.",
    )

    moves: models.JSONField[Any, Any] = models.JSONField(
        default=list, help_text="The plan of its strategy; steps point into it."
    )

    status = models.CharField(max_length=12, choices=Status.choices, default=Status.QUEUED)
    progress = models.PositiveSmallIntegerField(default=0, help_text="Percent.")
    error = models.TextField(blank=True)
    needs_attention = models.BooleanField(
        default=False,
        help_text="The rollback failed; the service is locked until staff acknowledge.",
    )
    attention: models.JSONField[Any, Any] = models.JSONField(
        default=list, help_text="The targets whose rollback failed."
    )
    failed_targets: models.JSONField[Any, Any] = models.JSONField(
        default=list,
        db_default=[],
        blank=True,
        help_text="Those that failed within the error threshold of their wave, and why.",
    )
    is_aborted = models.BooleanField(default=False)
    is_promoted_fully = models.BooleanField(default=False, help_text="No pause stops it any more.")
    pause_reason = models.TextField(blank=True)
    paused_at = models.DateTimeField(null=True, blank=True)
    resume_at = models.DateTimeField(null=True, blank=True, help_text="Empty: by hand.")
    on_expiry = models.CharField(
        max_length=8,
        blank=True,
        default="",
        db_default="",
        choices=[("rollback", "rollback"), ("promote", "promote")],
        help_text="What resume_at does; empty: the pause is over.",
    )
    paused_seconds = models.PositiveIntegerField(default=0)

    sick_before: models.JSONField[Any, Any] = models.JSONField(
        null=True, help_text="Targets that were not well before the first one was touched."
    )

    fence = models.BigIntegerField(
        default=0,
        help_text="Grows with every worker that takes the job over; older ones may not write.",
    )
    lease_owner = models.CharField(max_length=255, blank=True)
    lease_expires_at = models.DateTimeField(null=True, blank=True)
    waiting_since = models.DateTimeField(
        null=True, blank=True, help_text="Since when a node has been asked for its step."
    )
    rang_at = models.DateTimeField(null=True, blank=True, help_text="When it was asked last.")

    created_at = models.DateTimeField()
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    acknowledged_by = models.CharField(max_length=255, blank=True)

    objects = JobQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at", "-id"]
        permissions = [
            ("operate_job", "Can pause, resume, promote, abort and retry deployments"),
            ("acknowledge_job", "Can acknowledge a failed rollback"),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["service"],
                condition=Q(status__in=["queued", "running", "rolling_back", "paused"])
                | Q(needs_attention=True),
                name="one_live_job_per_service",
            ),
        ]
        indexes = [
            models.Index(
                fields=["lease_expires_at"],
                name="job_due",
                condition=Q(status__in=["queued", "running", "rolling_back", "paused"]),
            ),
            models.Index(fields=["service", "-created_at", "-id"], name="job_of_service"),
            models.Index(fields=["-created_at", "-id"], name="job_newest"),
            models.Index(fields=["status", "-created_at", "-id"], name="job_of_status"),
        ]

    def __str__(self) -> str:
        return self.job_id

    def begun_moves(self) -> int:
        """Return how many of the plan's moves have begun, whether or not they were finished."""
        begun = self.steps.filter(is_rollback=False, started_at__isnull=False)
        last = begun.aggregate(last=models.Max("move"))["last"]
        return 0 if last is None else int(last) + 1


class DeployedEnvironment(models.Model):
    """The environment that a target declared for its commands when this deployment began."""

    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="environments")
    target = models.ForeignKey(Target, on_delete=models.CASCADE, related_name="environments")
    version = models.CharField(max_length=MAX_NAME_LENGTH)
    environment: models.JSONField[Any, Any] = models.JSONField(default=dict)
    sealed_environment = models.TextField(blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["job", "target"], name="one_environment_per_job_and_target"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.job_id} {self.target_id}"


class JobTally(models.Model):
    """The number of jobs; a trigger keeps it, so that no query counts a million rows.

    A row for each service, so that no two of them wait for each other.
    """

    service_id = models.BigIntegerField(help_text="No foreign key: it may outlive the service.")
    status = models.CharField(max_length=12)
    jobs = models.BigIntegerField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["service_id", "status"], name="one_job_tally_per_status"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.service_id} {self.status}: {self.jobs}"


class Step(models.Model):
    """One line of the journal: written before it is done, and after."""

    class Status(models.TextChoices):
        PENDING = "pending"
        RUNNING = "running"
        SUCCEEDED = "succeeded"
        FAILED = "failed"
        SKIPPED = "skipped"

    ENDED = (Status.SUCCEEDED, Status.FAILED, Status.SKIPPED)
    #: Each status and those from which it may be reached (saga_project.shared.transitions).
    MOVES = {
        # From running where a gate cannot decide: the job is paused, and the step begins anew.
        Status.PENDING: (Status.RUNNING,),
        # From running after the crash of a worker.
        Status.RUNNING: (Status.PENDING, Status.RUNNING),
        Status.SUCCEEDED: (Status.RUNNING,),
        Status.FAILED: (Status.PENDING, Status.RUNNING),
        Status.SKIPPED: (Status.PENDING, Status.RUNNING),
    }

    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="steps")
    position = models.PositiveIntegerField()
    name = models.CharField(max_length=32)
    target = models.ForeignKey(Target, null=True, blank=True, on_delete=models.SET_NULL)
    target_name = models.CharField(max_length=MAX_NAME_LENGTH, blank=True)
    node = models.CharField(max_length=MAX_NAME_LENGTH, blank=True)
    move = models.PositiveIntegerField(
        default=0, help_text="Which of its job's moves it is part of."
    )
    weight = models.PositiveSmallIntegerField(null=True)
    wait_seconds = models.PositiveIntegerField(null=True)
    #: The column has the name of before, which the previous release reads.
    is_rollback = models.BooleanField(default=False, db_column="is_way_back")
    status = models.CharField(max_length=9, choices=Status.choices, default=Status.PENDING)
    progress = models.PositiveSmallIntegerField(default=0)
    message = models.TextField(blank=True)
    result: models.JSONField[Any, Any] = models.JSONField(default=dict)
    runs = models.PositiveSmallIntegerField(default=0, help_text="More than one after a crash.")
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["job_id", "position"]
        constraints = [
            models.UniqueConstraint(fields=["job", "position"], name="one_step_per_position"),
        ]

    def __str__(self) -> str:
        return f"{self.name} {self.target_name}".strip()
