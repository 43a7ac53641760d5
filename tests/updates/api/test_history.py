"""History, statistics and exports, as the reference prints them and as the contract adds."""

from __future__ import annotations

import csv
import datetime as dt
import io
import json
import re
import statistics
from typing import Any

import pytest
import time_machine
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext
from hypothesis import given
from hypothesis import strategies as st
from rest_framework.test import APIClient

from saga_project.shared import api as api_words
from tests import factories, planning
from updates.api.attachments import MAX_EXPORTS
from updates.history import dora, records
from updates.models import HistoryEntry, HistoryTally

pytestmark = pytest.mark.django_db

NOON = dt.datetime(2024, 1, 15, 10, 30, tzinfo=dt.UTC)
PAYMENT = {
    "service_name": "payment-service",
    "old_version": "1.2.3",
    "new_version": "1.3.0",
    "timestamp": "2024-01-15T10:30:00Z",
    "status": "success",
    "duration_seconds": 45,
    "artifact_url": "https://github.com/example/payment/releases/v1.3.0/payment-v1.3.0.tar.gz",
    "checksum": "sha256:abc123...",
    "artifact_path": "/tmp/saga_artifacts/payment-service/v1.3.0",
    "backup_path": "/tmp/saga_backups/payment-service/v1.2.3",
}
SHOWN = {**PAYMENT, "job_id": "deploy-payment-service-1.3.0-1", "actor": "ci", "trigger": "deploy"}


def _add(**fields: Any) -> HistoryEntry:
    return factories.HistoryEntryFactory.create(**fields)


def _add_payment() -> HistoryEntry:
    known = {"job_id": SHOWN["job_id"], "recorded_by": SHOWN["actor"]}
    return _add(**{**PAYMENT, **known, "timestamp": NOON, "running_version": "1.3.0"})


def _get(api: APIClient, path: str, **parameters: Any) -> Any:
    response = api.get(f"/api/v1/updates/{path}", parameters)
    assert response.status_code == 200, response.content
    return response.json()


def _body(api: APIClient, path: str, **parameters: Any) -> bytes:
    response = api.get(f"/api/v1/updates/{path}", parameters)
    assert response.status_code == 200
    content: bytes = response.getvalue()
    return content


# --- History --------------------------------------------------------------------------------------


def test_a_services_history_has_the_documented_shape(api: APIClient) -> None:
    _add_payment()
    _add(service_name="gateway")

    answer = _get(api, "history/payment-service")

    assert answer == {"service_name": "payment-service", "history": [SHOWN], "total": 1}
    assert list(answer["history"][0]) == list(SHOWN)


def test_all_history_is_newest_first_with_all_keys_each(api: APIClient) -> None:
    _add(service_name="gateway", timestamp=NOON - dt.timedelta(days=1), duration_seconds=None)
    _add_payment()

    answer = _get(api, "history")

    assert [entry["service_name"] for entry in answer["history"]] == ["payment-service", "gateway"]
    assert set(answer["history"][1]) == set(SHOWN)
    assert answer["history"][1]["duration_seconds"] is None
    assert answer["history"][1]["artifact_path"] is None
    assert answer["total"] == 2
    assert "service_name" not in answer


def test_entries_of_one_moment_come_in_the_order_of_their_rows(api: APIClient) -> None:
    for version in ("1", "2", "3"):
        _add(timestamp=NOON, new_version=version)

    found = [entry["new_version"] for entry in _get(api, "history", limit=2)["history"]]

    assert found == ["3", "2"]


@pytest.mark.parametrize(
    ("fields", "actor", "trigger"),
    [
        ({"kind": "deploy", "recorded_by": "anna"}, "anna", "deploy"),
        ({"kind": "deploy", "recorded_by": "policy auto"}, "policy auto", "policy"),
        ({"kind": "rollback", "recorded_by": ""}, None, "rollback"),
        ({"kind": "reported", "recorded_by": "gateway"}, "gateway", "reported"),
    ],
)
def test_an_entry_names_its_actor_and_trigger(
    api: APIClient, fields: dict[str, str], actor: str | None, trigger: str
) -> None:
    _add(**fields)

    entry = _get(api, "history")["history"][0]

    assert (entry["actor"], entry["trigger"]) == (actor, trigger)


def test_total_counts_all_matches_of_every_filter(api: APIClient) -> None:
    for day in range(10):
        status = "failed" if day % 2 else "success"
        _add(timestamp=NOON + dt.timedelta(days=day), status=status)

    page = _get(api, "history", limit=2, offset=1, status="failed")
    between = _get(api, "history", since="2024-01-16T10:30:00Z", until="2024-01-18T10:30:00Z")

    assert (len(page["history"]), page["total"]) == (2, 5)
    assert [entry["timestamp"][:10] for entry in page["history"]] == ["2024-01-22", "2024-01-20"]
    assert [entry["timestamp"][:10] for entry in between["history"]] == ["2024-01-17", "2024-01-16"]
    assert between["total"] == 2


def test_a_page_takes_two_queries_however_long_it_is(api: APIClient) -> None:
    for _ in range(20):
        _add()

    with CaptureQueriesContext(
        connection,
    ) as queries:
        _get(api, "history")

    assert len(queries) == 2


def test_a_registered_service_without_updates_has_an_empty_history(api: APIClient) -> None:
    factories.ServiceFactory.create(name="fresh")

    answer = _get(api, "history/fresh")

    assert answer == {"service_name": "fresh", "history": [], "total": 0}


@pytest.mark.parametrize(
    "path", ["history/never", "history/never/export/json", "history/never/export/csv"]
)
def test_a_name_never_seen_is_404(api: APIClient, path: str) -> None:
    response = api.get(f"/api/v1/updates/{path}")

    assert response.status_code == 404
    assert response.json()["error"] == "Service not found"


@pytest.mark.parametrize(
    ("path", "error"),
    [
        ("history?limit=0", "Invalid limit"),
        ("history?limit=1001", "Invalid limit"),
        ("history?limit=ten", "Invalid limit"),
        ("history?limit=" + "9" * 5000, "Invalid limit"),
        ("history?offset=-1", "Invalid offset"),
        ("history?status=great", "Invalid status"),
        ("history?since=yesterday", "Invalid parameter"),
        ("history?status=%00", "Invalid parameter"),
        ("history/bad%20name", "Invalid service name"),
        ("history/register", "Invalid service name"),
        ("history/payment-service/export/xml", "Invalid export format"),
        ("history/payment-service/export/csv?limit=0", "Invalid limit"),
        ("statistics?window=30", "Invalid window"),
        ("statistics?window=999999w", "Invalid window"),
        ("statistics/dora?window=-1d", "Invalid window"),
    ],
)
def test_refuses_what_means_nothing(api: APIClient, path: str, error: str) -> None:
    response = api.get(f"/api/v1/updates/{path}")

    assert (response.status_code, response.json()["error"]) == (400, error)


def test_a_corrected_entry_gives_way_to_its_correction(api: APIClient) -> None:
    wrong = _add(status="failed", timestamp=NOON)
    _add(status="success", timestamp=NOON, corrects=wrong)

    assert [entry["status"] for entry in _get(api, "history")["history"]] == ["success"]
    assert _get(api, "history")["total"] == 1
    assert _get(api, "statistics")["success_rate"] == 100.0


@pytest.mark.parametrize(
    "change",
    ["UPDATE updates_historyentry SET status = 'success'", "DELETE FROM updates_historyentry"],
)
def test_history_refuses_to_be_changed(change: str) -> None:
    _add(status="failed")

    with pytest.raises(IntegrityError, match="append-only"), transaction.atomic():
        connection.cursor().execute(change)

    assert HistoryEntry.objects.get().status == "failed"


def test_a_job_is_recorded_once() -> None:
    outcome = records.UpdateOutcome(
        service_name="payment-service",
        kind="deploy",
        status="success",
        old_version=None,
        new_version="1.0",
        running_version="1.0",
        timestamp=NOON,
        job_id="deploy-payment-service-1.0-1",
    )

    assert records.record(outcome) == records.record(outcome)
    assert HistoryTally.objects.get().entries == 1


# --- Statistics -----------------------------------------------------------------------------------


def test_statistics_add_up_as_documented(api: APIClient) -> None:
    for count, status in ((142, "success"), (5, "failed"), (3, "rolled_back")):
        HistoryEntry.objects.bulk_create(
            factories.HistoryEntryFactory.build(
                service_name="gateway", status=status, duration_seconds=None
            )
            for _ in range(count)
        )
    _add(service_name="zeta", duration_seconds=39)
    _add(service_name="alpha", duration_seconds=38)

    answer = _get(api, "statistics")

    assert answer == {
        "total_updates": 152,
        "successful_updates": 144,
        "failed_updates": 5,
        "rolled_back_updates": 3,
        "success_rate": 94.74,
        "average_duration_seconds": 38.5,
        "services_updated": [
            {"service_name": "gateway", "update_count": 150},
            {"service_name": "alpha", "update_count": 1},
            {"service_name": "zeta", "update_count": 1},
        ],
    }


def test_statistics_of_nothing_are_zero(api: APIClient) -> None:
    assert _get(api, "statistics") == {
        "total_updates": 0,
        "successful_updates": 0,
        "failed_updates": 0,
        "rolled_back_updates": 0,
        "success_rate": 0.0,
        "average_duration_seconds": 0.0,
        "services_updated": [],
    }


def test_a_window_narrows_statistics(api: APIClient) -> None:
    now = dt.datetime.now(dt.UTC)
    _add(timestamp=now - dt.timedelta(days=2), status="failed")
    _add(timestamp=now - dt.timedelta(hours=2))

    assert _get(api, "statistics", window="1d")["total_updates"] == 1
    assert _get(api, "statistics", window="1w")["success_rate"] == 50.0


def test_the_tally_agrees_with_a_window_over_everything(api: APIClient) -> None:
    now = dt.datetime.now(dt.UTC)
    for number in range(30):
        status = HistoryEntry.Status.values[number % 3]
        entry = _add(
            service_name=f"service-{number % 4}",
            status=status,
            timestamp=now,
            duration_seconds=number,
        )
        if number % 5 == 0:
            _add(
                service_name=entry.service_name,
                timestamp=now,
                corrects=entry,
                duration_seconds=None,
            )

    assert _get(api, "statistics") == _get(api, "statistics", window="1d")


@pytest.mark.parametrize("path", ["statistics", "statistics/dora"])
def test_a_window_is_added_up_anew_only_where_its_entries_changed(
    path: str, api: APIClient, django_assert_num_queries: Any
) -> None:
    now = dt.datetime.now(dt.UTC)
    _add(timestamp=now - dt.timedelta(hours=23))

    found = [_get(api, path, window="1d")]
    with django_assert_num_queries(1):
        again = _get(api, path, window="1d")
    wrong = _add(timestamp=now - dt.timedelta(hours=2))
    found.append(_get(api, path, window="1d"))
    _add(timestamp=wrong.timestamp, corrects=wrong, status="failed")
    found.append(_get(api, path, window="1d"))
    with time_machine.travel(now + dt.timedelta(hours=2), tick=False):
        found.append(_get(api, path, window="1d"))

    assert again == found[0]
    assert len({json.dumps(answer) for answer in found}) == 4


# --- DORA -----------------------------------------------------------------------------------------


def test_dora_without_data_says_so(api: APIClient) -> None:
    assert _get(api, "statistics/dora") == {
        "window": "30d",
        "deployments": 0,
        "deployment_frequency_per_day": 0.0,
        "lead_time_seconds": None,
        "change_failure_rate": None,
        "time_to_restore_seconds": None,
    }


def test_dora_takes_its_figures_from_what_happened(api: APIClient) -> None:
    start = dt.datetime.now(dt.UTC).replace(microsecond=0) - dt.timedelta(days=5)

    def after(minutes: int) -> dt.datetime:
        return start + dt.timedelta(minutes=minutes)

    _add(timestamp=after(10), released_at=after(0))  # lead time 10 minutes
    _add(timestamp=after(50), released_at=after(20))  # 30 minutes
    _add(timestamp=after(60), status="failed")
    _add(timestamp=after(80))  # restored after 20 minutes
    _add(timestamp=after(100), started_at=after(98), status="rolled_back")  # by itself in 2 minutes
    _add(timestamp=after(200))
    _add(timestamp=after(204), kind="rollback", status="rolled_back")  # by hand after 4 minutes
    _add(timestamp=after(205), service_name="gateway")

    assert _get(api, "statistics/dora", window="10d") == {
        "window": "10d",
        "deployments": 7,
        "deployment_frequency_per_day": 0.7,
        "lead_time_seconds": 20 * 60,
        "change_failure_rate": 42.86,
        "time_to_restore_seconds": 4 * 60,
    }


def test_a_rollback_makes_no_failure_of_a_deployment_that_changed_nothing(api: APIClient) -> None:
    now = dt.datetime.now(dt.UTC).replace(microsecond=0)
    _add(timestamp=now - dt.timedelta(hours=3))
    _add(timestamp=now - dt.timedelta(hours=2), old_version="1.3.0", new_version="1.3.0")
    _add(timestamp=now - dt.timedelta(hours=1), kind="rollback", status="rolled_back")

    found = _get(api, "statistics/dora", window="10d")

    assert (found["deployments"], found["change_failure_rate"]) == (1, 0.0)


MINUTES = st.integers(0, 20)
HAPPENED = st.lists(
    st.fixed_dictionaries(
        {
            "service_name": st.sampled_from(["payment-service", "gateway"]),
            "kind": st.sampled_from(["deploy", "deploy", "reported", "rollback"]),
            "status": st.sampled_from(HistoryEntry.Status.values),
            "timestamp": MINUTES,
            "started_at": st.none() | MINUTES,
            "released_at": st.none() | MINUTES,
            "is_corrected": st.booleans(),
            "has_reached_target": st.booleans(),
        }
    ),
    max_size=12,
)


@given(HAPPENED)
def test_dora_agrees_with_its_definition_whatever_happened(happened: list[dict[str, Any]]) -> None:
    now = dt.datetime.now(dt.UTC).replace(microsecond=0)
    start = now - dt.timedelta(days=1)
    with transaction.atomic():
        standing = [_happen(dict(each), start) for each in happened]
        found = dora.metrics(window=dt.timedelta(days=2), now=now)
        transaction.set_rollback(True)

    deployments = [
        entry for entry in standing if entry.kind != "rollback" and entry.has_reached_target
    ]
    failed = [entry for entry in deployments if _has_failed(entry, standing)]
    leads = [
        entry.timestamp - entry.released_at
        for entry in deployments
        if entry.status == "success" and entry.released_at and entry.released_at <= entry.timestamp
    ]
    restores = [_restored_after(entry, standing) for entry in failed]
    assert found.deployments == len(deployments)
    assert found.lead_time_seconds == _median(leads)
    assert found.time_to_restore_seconds == _median([each for each in restores if each is not None])
    rate = round(100 * len(failed) / len(deployments), 2) if deployments else None
    assert found.change_failure_rate == rate


def _happen(fields: dict[str, Any], start: dt.datetime) -> HistoryEntry:
    """Add an entry, which perhaps takes the place of one that was wrong, and return what stands."""
    for name in ("timestamp", "started_at", "released_at"):
        if fields[name] is not None:
            fields[name] = start + dt.timedelta(minutes=fields[name])
    if fields.pop("is_corrected"):
        fields["corrects"] = _add(**{**fields, "status": "failed"})
    return _add(**fields)


def _following(entry: HistoryEntry, standing: list[HistoryEntry]) -> list[HistoryEntry]:
    def place(each: HistoryEntry) -> tuple[dt.datetime, int]:
        return each.timestamp, each.pk

    same = [each for each in standing if each.service_name == entry.service_name]
    return sorted((each for each in same if place(each) > place(entry)), key=place)


def _has_failed(entry: HistoryEntry, standing: list[HistoryEntry]) -> bool:
    following = _following(entry, standing)
    if not entry.has_reached_target:
        return False
    return entry.status != "success" or bool(following and following[0].kind == "rollback")


def _restored_after(entry: HistoryEntry, standing: list[HistoryEntry]) -> dt.timedelta | None:
    if entry.status == "rolled_back":
        return entry.timestamp - entry.started_at if entry.started_at else None
    well = [each for each in _following(entry, standing) if each.status != "failed"]
    return well[0].timestamp - entry.timestamp if well else None


def _median(times: list[dt.timedelta]) -> int | None:
    seconds = [each.total_seconds() for each in times]
    return round(statistics.median(seconds)) if seconds else None


# --- Exports --------------------------------------------------------------------------------------


def test_the_json_export_is_the_history_document(api: APIClient) -> None:
    _add_payment()
    _add(timestamp=NOON - dt.timedelta(days=1))

    response = api.get("/api/v1/updates/history/payment-service/export/json")

    assert response["Content-Disposition"].startswith("attachment;")
    assert response["Content-Type"] == "application/json"
    assert json.loads(response.getvalue()) == _get(api, "history/payment-service")


def test_the_csv_export_has_the_documented_columns(api: APIClient) -> None:
    _add_payment()
    _add(timestamp=NOON - dt.timedelta(days=1), old_version=None, duration_seconds=None)

    text = _body(api, "history/payment-service/export/csv").decode()

    assert text.splitlines()[0] == (
        "Service Name,Old Version,New Version,Timestamp,Status,Duration (seconds),Artifact URL,Checksum"
    )
    assert text.splitlines()[1] == (
        "payment-service,1.2.3,1.3.0,2024-01-15T10:30:00Z,success,45,"
        "https://github.com/example/payment/releases/v1.3.0/payment-v1.3.0.tar.gz,sha256:abc123..."
    )
    assert text.splitlines()[2] == "payment-service,,1.3.0,2024-01-14T10:30:00Z,success,,,"
    assert text.endswith("\r\n")


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
def test_no_cell_of_a_csv_export_is_a_formula(api: APIClient, start: str) -> None:
    _add(checksum=f'{start}cmd|"/c calc",\n!A1')

    rows = list(
        csv.reader(
            io.StringIO(_body(api, "history/payment-service/export/csv").decode(), newline="")
        )
    )

    assert rows[1][-1] == f'\'{start}cmd|"/c calc",\n!A1'


@pytest.mark.parametrize(("limit", "expected"), [(None, 25), (7, 7), (10, 10), (26, 25)])
def test_an_export_reads_chunk_by_chunk(
    api: APIClient, monkeypatch: pytest.MonkeyPatch, limit: int | None, expected: int
) -> None:
    monkeypatch.setattr(records, "CHUNK_ROWS", 5)
    for number in range(25):
        _add(new_version=str(number), timestamp=NOON + dt.timedelta(minutes=number // 3))
    parameters = {} if limit is None else {"limit": limit}

    answer = json.loads(_body(api, "history/payment-service/export/json", **parameters))

    newest_first = [str(number) for number in reversed(range(25))]
    assert [entry["new_version"] for entry in answer["history"]] == newest_first[:expected]
    assert answer["total"] == 25


def test_exports_leave_threads_to_others(api: APIClient) -> None:
    _add()
    path = "/api/v1/updates/history/payment-service/export/csv"
    begun = [api.get(path) for _ in range(MAX_EXPORTS)]

    refused = api.get(path)
    for response in begun:
        response.getvalue()
    after = api.get(path)

    assert (refused.status_code, refused.json()["error"]) == (503, "Too many exports")
    assert refused["Retry-After"] == "5"
    assert after.getvalue().startswith(b"Service Name,")


def test_all_services_are_exported_together(api: APIClient) -> None:
    _add(service_name="gateway")
    _add_payment()

    answer = json.loads(_body(api, "history/export/json"))

    assert answer == _get(api, "history")


@pytest.mark.parametrize(
    "moment",
    [
        dt.datetime(2024, 2, 29, 23, 59, 59, 999_999, tzinfo=dt.UTC),
        dt.datetime(1, 1, 1, tzinfo=dt.UTC),
        dt.datetime(9999, 12, 31, 23, 59, 59, tzinfo=dt.UTC),
        dt.datetime(2024, 3, 31, 1, 30, tzinfo=dt.timezone(dt.timedelta(hours=-9, minutes=-30))),
    ],
)
def test_a_time_is_printed_by_postgresql_as_everywhere_else(moment: dt.datetime) -> None:
    entry = _add(timestamp=moment)

    assert records.rows(records.HistorySelection(), limit=1)[0][3] == api_words.zulu(moment)
    assert entry.timestamp == moment


# --- Indexes --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("selection", "index"),
    [
        (records.HistorySelection(), "history_newest"),
        (records.HistorySelection(service_name="payment-service"), "history_of_service"),
        (records.HistorySelection(status="failed"), "history_of_status"),
        (records.HistorySelection(since=NOON), "history_newest"),
    ],
)
def test_every_selection_reads_along_an_index(
    selection: records.HistorySelection, index: str
) -> None:
    HistoryEntry.objects.bulk_create(
        factories.HistoryEntryFactory.build(
            service_name="payment-service" if number % 20 == 0 else f"service-{number % 50}",
            status="failed" if number % 20 == 0 else "success",
            timestamp=NOON + dt.timedelta(minutes=number),
        )
        for number in range(5000)
    )
    connection.cursor().execute("ANALYZE updates_historyentry")
    planning.forbid_scans_and_sorts()

    plan = records.select(selection)[:20].explain()

    assert index in plan
    assert "Sort" not in plan


def test_statistics_of_a_window_are_added_up_from_an_index_alone(api: APIClient) -> None:
    """The planner's choice depends on the table's size, so the columns are compared instead."""
    _add(timestamp=dt.datetime.now(dt.UTC))
    with CaptureQueriesContext(connection) as queries:
        _get(api, "statistics", window="30d")
    [adding] = [query["sql"] for query in queries if "GROUP BY" in query["sql"]]
    needed = set(re.findall(r'"updates_historyentry"\."(\w+)"', adding))

    columns = planning.columns_of("history_newest")

    assert columns[0] == "timestamp"
    assert "WHERE" in adding
    assert needed >= {"service_name", "status", "duration_seconds", "timestamp"}
    assert needed <= set(columns)
