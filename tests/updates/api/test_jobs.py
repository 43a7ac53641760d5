"""Jobs as the contract describes them: the list, one, and every verb in every state."""

from __future__ import annotations

import datetime as dt
import itertools
import re
import threading
from collections import Counter

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from rest_framework.test import APIClient

from registry.models import Service
from registry.operations import ensure_service
from tests import planning
from tests.updates.rollouts import crashing
from updates import errors, operations
from updates.models import Job, JobTally, Step
from updates.releases import recording

pytestmark = pytest.mark.django_db

KEYS = [
    *("job_id", "kind", "service_name", "version", "previous_version", "strategy", "status"),
    *("progress", "steps", "created_at", "started_at", "finished_at", "duration_seconds", "error"),
]
ALLOWED = {
    "queued": {"pause", "abort"},
    "running": {"pause", "promote", "abort"},
    "paused": {"resume", "promote", "abort"},
    "rolling_back": {"retry", "abort"},
    "succeeded": set(),
    "failed": {"retry"},
    "rolled_back": {"retry"},
    "cancelled": {"retry"},
}
VERBS = ("pause", "resume", "promote", "abort", "retry")


@pytest.fixture
def service() -> Service:
    return ensure_service("shop")


def deploy(service: Service, version: str = "1.0.0", strategy: str = "rolling") -> Job:
    announcement = recording.Announcement(
        version=version, artifact_url=f"https://ci.example/{version}.tar.gz"
    )
    return operations.deploy(service, announcement, by="ci", strategy=strategy)


def put_in(job: Job, status: str) -> None:
    now = timezone.now()
    has_begun = status not in ("queued", "cancelled")
    Job.objects.filter(pk=job.pk).update(
        status=status,
        started_at=now if has_begun else None,
        paused_at=now if status == "paused" else None,
    )


def test_a_job_has_exactly_the_documented_keys(api: APIClient, service: Service) -> None:
    job = deploy(service)

    answer = api.get(f"/api/v1/updates/jobs/{job.job_id}")

    assert answer.status_code == 200
    assert list(answer.json()) == KEYS
    assert answer.json()["status"] == "queued"
    assert answer.json()["steps"][0] == {
        "name": "fetch",
        "target": "local",
        "status": "pending",
        "started_at": None,
        "finished_at": None,
        "message": "",
    }


def test_a_job_id_has_the_documented_form(service: Service) -> None:
    job = deploy(service, "1.3.0")

    assert job.job_id == f"deploy-shop-1.3.0-{int(job.created_at.timestamp())}"


def test_lists_jobs_newest_first(api: APIClient, service: Service) -> None:
    first = deploy(service, "1.0.0")
    put_in(first, "succeeded")
    second = deploy(service, "2.0.0")

    answer = api.get("/api/v1/updates/jobs").json()

    assert [job["job_id"] for job in answer["jobs"]] == [second.job_id, first.job_id]
    assert answer["total"] == 2


def test_selects_jobs_by_service_and_status(api: APIClient, service: Service) -> None:
    job = deploy(service)
    deploy(ensure_service("other"))
    put_in(job, "rolling_back")

    answer = api.get("/api/v1/updates/jobs", {"service": "shop", "status": "running"}).json()

    assert [found["job_id"] for found in answer["jobs"]] == [job.job_id]
    assert answer["jobs"][0]["status"] == "running"


def test_total_counts_all_matches_whatever_became_of_them(api: APIClient) -> None:
    for number, status in enumerate(["succeeded", "failed", "succeeded", "rolling_back", "queued"]):
        put_in(deploy(ensure_service(f"service-{number}")), status)
    again = deploy(ensure_service("service-0"), "2.0.0")
    Service.objects.get(name="service-2").delete()

    totals = {
        query: api.get(f"/api/v1/updates/jobs?limit=1&{query}").json()["total"]
        for query in ("", "status=succeeded", "status=running", "service=service-0", "service=none")
    }

    assert again.status == "queued"
    assert list(totals.values()) == [5, 1, 1, 2, 0]


def test_the_tally_is_what_counting_finds(service: Service) -> None:
    for version, ends in itertools.product("123", (["failed"], ["running", "cancelled"])):
        job = deploy(service, version)
        for status in ends:
            put_in(job, status)
    counted = Counter(Job.objects.values_list("status", flat=True))

    tallied = dict(JobTally.objects.filter(jobs__gt=0).values_list("status", "jobs"))

    assert tallied == counted == {"failed": 3, "cancelled": 3}


@pytest.mark.parametrize("query", ["", "&status=failed", "&service=shop", "&status=paused"])
def test_every_selection_reads_along_an_index(query: str, api: APIClient) -> None:
    now = timezone.now()
    services = [ensure_service(name) for name in ("shop", "other", "third")]
    Job.objects.bulk_create(
        Job(
            job_id=f"deploy-{number}",
            kind="deploy",
            service=services[number % 3],
            version="1",
            strategy="rolling",
            status="failed" if number % 20 == 0 else "succeeded",
            created_at=now - dt.timedelta(minutes=number),
        )
        for number in range(3000)
    )
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE updates_job")
    planning.forbid_scans_and_sorts()

    with CaptureQueriesContext(connection) as queries:
        api.get(f"/api/v1/updates/jobs?limit=10{query}")
    (listing,) = [
        each["sql"] for each in queries if "ORDER BY" in each["sql"] and "LIMIT" in each["sql"]
    ][:1]
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN {listing}")
        plan = "\n".join(line for (line,) in cursor.fetchall())

    assert re.search(r"(using|on) (job_|one_live_job)", plan)
    assert "Seq Scan on updates_job" not in plan
    assert "Sort" not in plan


@pytest.mark.parametrize(
    ("query", "error"),
    [
        ({"status": "rolling_back"}, "Invalid status"),
        ({"service": "a b"}, "Invalid service name"),
        ({"limit": "0"}, "Invalid limit"),
    ],
)
def test_refuses_selections_that_make_no_sense(
    api: APIClient, query: dict[str, str], error: str
) -> None:
    answer = api.get("/api/v1/updates/jobs", query)

    assert (answer.status_code, answer.json()["error"]) == (400, error)


def test_the_list_asks_as_often_for_many_as_for_one(api: APIClient) -> None:
    deploy(ensure_service("one"))
    with CaptureQueriesContext(connection) as for_one:
        api.get("/api/v1/updates/jobs")
    for number in range(5):
        deploy(ensure_service(f"service-{number}"))

    with CaptureQueriesContext(connection) as for_six:
        api.get("/api/v1/updates/jobs")

    assert len(for_six) == len(for_one) <= 4


@pytest.mark.parametrize("job_id", ["deploy-nothing-1-1", "%00", "x" * 500])
def test_an_unknown_job_is_404(api: APIClient, job_id: str) -> None:
    answer = api.get(f"/api/v1/updates/jobs/{job_id}")

    assert (answer.status_code, answer.json()["error"]) == (404, "Job not found")


@pytest.mark.parametrize(("status", "verb"), list(itertools.product(ALLOWED, VERBS)), ids=str)
def test_each_verb_has_an_answer_in_each_state(
    api: APIClient, service: Service, status: str, verb: str
) -> None:
    job = deploy(service, strategy="canary")
    put_in(job, status)

    answer = api.post(f"/api/v1/updates/jobs/{job.job_id}/{verb}", {"full": True}, format="json")

    if verb in ALLOWED[status]:
        assert answer.status_code == 202, answer.content
        assert list(answer.json()) == KEYS
    else:
        assert answer.status_code == 409
        assert all(allowed in answer.json()["message"] for allowed in ALLOWED[status])


def test_an_abort_during_the_rollback_leaves_everything_as_it_is(
    api: APIClient, service: Service
) -> None:
    job = deploy(service)
    put_in(job, "rolling_back")

    answer = api.post(f"/api/v1/updates/jobs/{job.job_id}/abort").json()

    assert answer["status"] == "failed"
    assert "left as they are" in answer["error"]
    assert deploy(service, "2.0.0").status == "queued"


def test_a_job_that_needs_attention_names_the_target_until_it_is_acknowledged(
    api: APIClient, service: Service
) -> None:
    job = deploy(service)
    put_in(job, "failed")
    entry = {"target": "web-2", "node": "far", "reason": "No worker.", "is_node_lost": True}
    Job.objects.filter(pk=job.pk).update(needs_attention=True, attention=[entry])
    path = f"/api/v1/updates/jobs/{job.job_id}"
    before = api.get(path).json()

    answer = api.post(f"{path}/acknowledge")

    assert before["needs_attention"] == ["web-2"]
    assert (answer.status_code, answer.json()["status"]) == (202, "failed")
    assert "needs_attention" not in answer.json()
    assert api.post(f"{path}/acknowledge").status_code == 409


def test_only_a_full_promotion_has_a_meaning_while_nothing_waits(
    api: APIClient, service: Service
) -> None:
    job = deploy(service, strategy="canary")
    put_in(job, "running")

    answer = api.post(f"/api/v1/updates/jobs/{job.job_id}/promote")

    assert answer.status_code == 409
    assert "full promotion" in answer.json()["message"]


@pytest.mark.parametrize("wait", ["-1", "61", "soon"])
def test_a_wait_out_of_range_is_refused(api: APIClient, service: Service, wait: str) -> None:
    answer = api.get(f"/api/v1/updates/jobs/{deploy(service).job_id}", {"wait": wait})

    assert (answer.status_code, answer.json()["error"]) == (400, "Invalid wait")


def test_a_job_that_is_over_is_not_waited_for(api: APIClient, service: Service) -> None:
    job = deploy(service)
    put_in(job, "succeeded")

    answer = api.get(f"/api/v1/updates/jobs/{job.job_id}", {"wait": "60"})

    assert answer.json()["status"] == "succeeded"


@pytest.mark.django_db(transaction=True)
def test_a_long_poll_answers_once_the_job_changes(api: APIClient, service: Service) -> None:
    job = deploy(service)
    later = threading.Timer(
        0.5,
        crashing.in_a_transaction_of_its_own,
        args=[lambda: operations.pause(job.job_id, by="anna")],
    )
    later.start()

    answer = api.get(f"/api/v1/updates/jobs/{job.job_id}", {"wait": "60"})

    later.join()
    assert answer.json()["status"] == "paused"


def test_a_retry_is_a_new_job(api: APIClient, service: Service) -> None:
    job = deploy(service)
    put_in(job, "failed")

    answer = api.post(f"/api/v1/updates/jobs/{job.job_id}/retry").json()

    assert answer["job_id"] != job.job_id
    assert (answer["version"], answer["status"]) == ("1.0.0", "queued")


def test_an_abort_before_anything_began_cancels_at_once(api: APIClient, service: Service) -> None:
    job = deploy(service)

    answer = api.post(f"/api/v1/updates/jobs/{job.job_id}/abort").json()

    assert answer["status"] == "cancelled"
    assert {step["status"] for step in answer["steps"]} == {"skipped"}
    assert Step.objects.filter(job=job, is_rollback=True).count() == 0


def test_the_same_request_again_answers_with_the_running_job(service: Service) -> None:
    assert deploy(service).pk == deploy(service).pk


def test_another_request_meanwhile_is_refused(service: Service) -> None:
    deploy(service, "1.0.0")

    with pytest.raises(errors.JobInProgress, match="deploy-shop-1"):
        deploy(service, "2.0.0")
