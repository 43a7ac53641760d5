"""The audit trail shows what was done to it."""

from __future__ import annotations

import datetime as dt
import io

import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection, transaction

from tests.factories import NOW
from updates.history import audit
from updates.models import AuditEntry

pytestmark = pytest.mark.django_db


def _write(count: int) -> None:
    for number in range(count):
        with transaction.atomic():
            audit.record(
                "job.deploy",
                actor="sam",
                service_name="payment-service",
                data={"version": f"1.{number}", "is_ü": True, "count": number, "nothing": None},
                at=NOW + dt.timedelta(seconds=number, microseconds=7),
            )


def _tamper(statement: str) -> None:
    """Change the table as the owner of the database could."""
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE updates_auditentry DISABLE TRIGGER audit_is_append_only")
        cursor.execute(statement)
        cursor.execute("ALTER TABLE updates_auditentry ENABLE TRIGGER audit_is_append_only")


def test_an_untouched_trail_verifies() -> None:
    _write(5)
    output = io.StringIO()

    call_command("verify_audit", stdout=output)

    last = AuditEntry.objects.order_by("-sequence").first()
    assert last is not None
    assert output.getvalue() == f"5 entries, last digest {last.digest}\n"


def test_an_empty_trail_verifies() -> None:
    assert audit.verify() == audit.ChainVerdict(0, audit.FIRST_DIGEST, None)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE updates_auditentry SET actor = 'eve'",
        "DELETE FROM updates_auditentry",
        "TRUNCATE updates_auditentry",
    ],
)
def test_the_trail_refuses_to_be_changed(statement: str) -> None:
    _write(2)

    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
        connection.cursor().execute(statement)

    assert AuditEntry.objects.filter(actor="sam").count() == 2


@pytest.mark.parametrize(
    ("statement", "fault"),
    [
        ("UPDATE updates_auditentry SET actor = 'eve' WHERE sequence = 3", "Entry 3 was changed"),
        (
            "UPDATE updates_auditentry SET at = at + interval '1 µs' WHERE sequence = 3",
            "Entry 3 was changed",
        ),
        (
            """UPDATE updates_auditentry SET data = data || '{"version": "6"}' WHERE sequence = 2""",
            "Entry 2 was",
        ),
        ("DELETE FROM updates_auditentry WHERE sequence = 3", "Entry 3 is missing"),
        ("DELETE FROM updates_auditentry WHERE sequence = 1", "Entry 1 is missing"),
    ],
)
def test_tampering_shows_where_it_was_done(statement: str, fault: str) -> None:
    _write(5)

    _tamper(statement.replace("1 µs", "1 microsecond"))

    with pytest.raises(CommandError, match=fault):
        call_command("verify_audit")


def test_a_row_that_was_forged_whole_does_not_continue_the_chain() -> None:
    _write(3)
    forged = AuditEntry.objects.get(sequence=2)
    forged.actor = "eve"

    _tamper(
        f"UPDATE updates_auditentry SET actor = 'eve', digest = '{audit.digest(forged)}' WHERE sequence = 2"
    )

    assert audit.verify().fault == "Entry 3 does not continue the entry before it."


def test_an_end_that_was_cut_off_shows_by_a_digest_noted_before() -> None:
    _write(3)
    noted = audit.verify().last_digest

    _tamper("DELETE FROM updates_auditentry WHERE sequence = 3")

    call_command("verify_audit", stdout=io.StringIO())
    with pytest.raises(CommandError, match="the end was cut off"):
        call_command("verify_audit", expect_digest=noted)


@pytest.mark.django_db(transaction=True)
def test_an_entry_is_refused_outside_a_transaction() -> None:
    with pytest.raises(transaction.TransactionManagementError):
        audit.record("job.deploy", actor="sam", at=NOW)
