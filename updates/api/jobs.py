"""Deployments: what is under way, and the verbs for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from django.db.models import QuerySet, Sum
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from registry import names
from registry.errors import InvalidWait
from registry.identity import accounts
from registry.models import Service
from registry.operations import people
from saga_project.shared import api, rules, strict_json
from saga_project.shared.api import fields
from updates import errors, operations
from updates.api import long_poll
from updates.models import Job, JobTally, Step
from updates.models.jobs import JobQuerySet
from updates.rollouts import measuring, outcomes

#: A job that rolls back is still running; its error says why.
SHOWN_AS = {Job.Status.ROLLING_BACK: Job.Status.RUNNING}
STATUSES = [status for status in Job.Status.values if status != Job.Status.ROLLING_BACK]


class StepSerializer(serializers.Serializer[Any]):
    name = serializers.CharField()
    target = serializers.CharField(allow_null=True)
    status = serializers.ChoiceField(choices=Step.Status.choices)
    started_at = serializers.DateTimeField(allow_null=True)
    finished_at = serializers.DateTimeField(allow_null=True)
    message = serializers.CharField()


class MetricSerializer(serializers.Serializer[Any]):
    name = serializers.CharField()
    is_good = serializers.BooleanField(
        allow_null=True, help_text="Null: not sampled yet, or the last sample was inconclusive."
    )
    is_dry_run = serializers.BooleanField(help_text="Measured and shown; it decides nothing.")
    message = serializers.CharField()


class JobSerializer(serializers.Serializer[Any]):
    job_id = serializers.CharField()
    kind = serializers.ChoiceField(choices=Job.Kind.choices)
    service_name = serializers.CharField()
    version = serializers.CharField()
    previous_version = serializers.CharField(allow_null=True)
    strategy = serializers.CharField()
    status = serializers.ChoiceField(choices=STATUSES)
    progress = serializers.IntegerField(help_text="Percent.")
    steps = StepSerializer(many=True)
    created_at = serializers.DateTimeField()
    started_at = serializers.DateTimeField(allow_null=True)
    finished_at = serializers.DateTimeField(allow_null=True)
    duration_seconds = serializers.IntegerField(
        allow_null=True, help_text="The time that it was paused left out."
    )
    error = serializers.CharField(allow_null=True)
    needs_attention = serializers.ListField(
        child=serializers.CharField(),
        required=False,
        help_text="Present on a failed job only: the targets whose rollback failed, until it is retried or"
        " acknowledged.",
    )

    failed_targets = serializers.ListField(
        child=serializers.CharField(),
        required=False,
        help_text="Present where targets failed within the error threshold of their wave; they run the"
        " previous version.",
    )

    metrics = MetricSerializer(
        many=True, required=False, help_text="Present where the policy has metrics."
    )


class JobListSerializer(serializers.Serializer[Any]):
    jobs = JobSerializer(many=True)
    total = serializers.IntegerField(help_text="Of all matches, not only those on this page.")


class VerbSerializer(serializers.Serializer[Any]):
    full = serializers.BooleanField(
        required=False,
        allow_null=True,
        help_text="Of promote: skip all pauses that would come, not only this one.",
    )
    override_reason = serializers.CharField(
        required=False,
        allow_null=True,
        max_length=1000,
        help_text="Of retry: despite freezes, windows, quarantine, second person; takes admin:registry.",
    )


#: What an answer shows; the plan of a job and the journal's details would cost more than all of it.
SHOWN = (
    *("job_id", "kind", "service__name", "version", "previous_version", "strategy", "status"),
    *("progress", "created_at", "started_at", "finished_at", "paused_seconds", "error"),
    *("needs_attention", "attention", "failed_targets", "metrics"),
)


def documents(jobs: QuerySet[Job]) -> list[dict[str, Any]]:
    found = list(jobs.select_related("service").only(*SHOWN))
    steps = _steps_of(found)
    documents = [_document(job, steps[job.pk]) for job in found]
    for job, document in zip(found, documents, strict=True):
        if job.metrics:
            document["metrics"] = _metrics_of(job)
    return documents


def _metrics_of(job: Job) -> list[dict[str, Any]]:
    measured = {row.name: row for row in job.measurements.all()}
    rows = [(metric, measured.get(metric.name)) for metric in measuring.read(job.metrics)]
    return [
        {
            "name": metric.name,
            "is_good": row.is_good if row else None,
            "is_dry_run": metric.is_dry_run,
            "message": row.message if row else "",
        }
        for metric, row in rows
    ]


def _steps_of(jobs: Sequence[Job]) -> dict[int, list[dict[str, Any]]]:
    """Return each job's journal, out of tuples: a page of a hundred jobs has a thousand steps."""
    steps: dict[int, list[dict[str, Any]]] = {job.pk: [] for job in jobs}
    rows = Step.objects.filter(job__in=steps).order_by("position")
    columns = ("job_id", "name", "target_name", "status", "message")
    times = (api.Zulu("started_at"), api.Zulu("finished_at"))
    for job_pk, name, target, status, message, started_at, finished_at in rows.values_list(
        *columns, *times
    ):
        steps[job_pk].append(
            {
                "name": name,
                "target": target or None,
                "status": status,
                "started_at": started_at,
                "finished_at": finished_at,
                "message": message,
            }
        )
    return steps


def _document(job: Job, steps: list[dict[str, Any]]) -> dict[str, Any]:
    document = {
        "job_id": job.job_id,
        "kind": job.kind,
        "service_name": job.service.name,
        "version": job.version,
        "previous_version": job.previous_version or None,
        "strategy": job.strategy,
        "status": SHOWN_AS.get(Job.Status(job.status), job.status),
        "progress": job.progress,
        "steps": steps,
        "created_at": api.zulu(job.created_at),
        "started_at": api.zulu(job.started_at),
        "finished_at": api.zulu(job.finished_at),
        "duration_seconds": outcomes.duration_seconds(job),
        "error": job.error or None,
    }
    if job.needs_attention:
        document["needs_attention"] = [entry["target"] for entry in job.attention]
    if job.failed_targets:
        document["failed_targets"] = [entry["target"] for entry in job.failed_targets]
    return document


class JobListView(api.SagaView):
    required_scopes = {"GET": "updates:read"}

    @extend_schema(
        operation_id="list_jobs",
        summary="List deployments and rollbacks, newest first",
        parameters=[
            fields.text_parameter("service", rule=rules.SERVICE_NAME, or_empty=True),
            OpenApiParameter("status", str, enum=STATUSES),
            *fields.PAGE,
        ],
        responses=JobListSerializer,
    )
    def get(self, request: Request) -> Response:
        limit, offset = api.read_limit(request) or 0, api.read_offset(request)
        selection = _read_selection(request)
        page = Job.objects.filter(**selection).order_by("-created_at", "-id")
        jobs = documents(page[offset : offset + limit])
        return Response({"jobs": jobs, "total": _count(selection)})


def _read_selection(request: Request) -> dict[str, Any]:
    """Return what was asked for, in words that jobs and their tally share."""
    selection: dict[str, Any] = {}
    if name := api.read_text(request, "service"):
        services = Service.objects.filter(name=names.check_service_name(name))
        selection["service_id__in"] = list(services.values_list("pk", flat=True))
    if status := api.read_text(request, "status"):
        if status not in STATUSES:
            raise errors.InvalidStatus(f"'status' is one of {', '.join(STATUSES)}.", field="status")
        hidden = [inner for inner, shown in SHOWN_AS.items() if shown == status]
        selection["status__in"] = [status, *hidden]
    return selection


def _count(selection: dict[str, Any]) -> int:
    return JobTally.objects.filter(**selection).aggregate(total=Sum("jobs"))["total"] or 0


class JobView(api.SagaView):
    required_scopes = {"GET": "updates:read"}

    @extend_schema(
        operation_id="get_job",
        summary="See a deployment with the journal of its steps",
        description="With `wait`, the answer comes once the job has changed.",
        parameters=[
            OpenApiParameter(
                "wait",
                {"type": "integer", "minimum": 0, "maximum": 60, "default": 0},
                description="Seconds to wait for a change.",
            )
        ],
        responses=JobSerializer,
    )
    def get(self, request: Request, job_id: str) -> Response:
        seconds = read_wait(request)
        if seconds:
            live = _find(job_id).live().values_list("pk", flat=True)
            for pk in live:
                long_poll.wait_for_change(pk, seconds=seconds)
        return Response(_shown(job_id))


def read_wait(request: Request) -> int:
    seconds = api.read_integer(request, "wait", default=0, minimum=0, maximum=60, error=InvalidWait)
    return seconds or 0


def _shown(job_id: str) -> dict[str, Any]:
    found = documents(_find(job_id))
    if not found:
        raise _not_found(job_id)
    return found[0]


def _find(job_id: str) -> JobQuerySet:
    is_clean = strict_json.is_clean(job_id)
    return Job.objects.filter(job_id=job_id) if is_clean else Job.objects.none()


def _not_found(job_id: str) -> errors.JobNotFound:
    return errors.JobNotFound(f"There is no job {job_id[:300]!r}.")


class JobVerbView(api.SagaView):
    required_scopes = {"POST": "updates:deploy"}
    verbs: dict[str, Callable[..., Job]] = {
        "pause": operations.pause,
        "resume": operations.resume,
        "abort": operations.abort,
        "acknowledge": operations.acknowledge,
    }

    @extend_schema(
        operation_id="control_job",
        summary="Pause, resume, promote, abort, retry or acknowledge a deployment",
        description="409 where its state does not allow that.",
        request=VerbSerializer,
        responses={202: JobSerializer},
        parameters=[
            OpenApiParameter(
                "verb",
                str,
                OpenApiParameter.PATH,
                enum=["pause", "resume", "promote", "abort", "retry", "acknowledge"],
            )
        ],
    )
    def post(self, request: Request, job_id: str, verb: str) -> Response:
        shape = VerbSerializer(data=api.body_of(request))
        shape.is_valid(raise_exception=True)
        job = _find(job_id).select_related("service").order_by("pk").first()
        if job is None:
            raise _not_found(job_id)
        caller = accounts.caller_of(request.user)
        accounts.check_may_change(caller, job.service.name, owner_id=job.service.account_id)
        if verb == "acknowledge":
            people.check_approver(caller)
        by = str(caller) if caller else "anonymous"
        if verb == "promote":
            after = operations.promote(
                job_id, by=by, is_fully=bool(shape.validated_data.get("full"))
            )
        elif verb == "retry":
            reason = shape.validated_data.get("override_reason")
            override = operations.override_of(caller, reason)
            after = operations.retry(
                job_id, by=by, exemptions=operations.GateExemptions(override=override)
            )
        else:
            after = self.verbs[verb](job_id, by=by)
        return Response(_shown(after.job_id), status=202)
