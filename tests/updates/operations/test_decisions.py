"""Several people decide, not the author, and in time."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from allauth.socialaccount.models import SocialAccount
from django.contrib.auth.models import User
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from registry.identity import people
from registry.models import Event, Service
from tests import factories
from updates import errors, operations
from updates.models import Approval, ApprovalDecision, AuditEntry, Job, Policy, Release
from updates.policies import preview

pytestmark = pytest.mark.django_db

ARTIFACT = "https://ci.example/1.1.0.tgz"


def asked(
    *, required: int = 1, hours: int | None = None, authors: tuple[str, ...] = ()
) -> Approval:
    service = factories.ServiceFactory.create(version="1.0.0")
    factories.PolicyFactory.create(
        service=service,
        kind="approve",
        required_approvals=required,
        approval_expires_after_hours=hours,
    )
    factories.ReleaseFactory.create(service=service, version="1.1.0", authors=list(authors))
    operations.apply_policy(service, now=timezone.now())
    return Approval.objects.get()


def together(*calls: Callable[[], None]) -> None:
    with ThreadPoolExecutor(len(calls)) as pool:
        for result in [pool.submit(call) for call in calls]:
            result.result(timeout=60)


def approve(approval: Approval, by: str) -> None:
    operations.approve(approval, by=by, now=timezone.now())


def test_so_many_different_people_approve() -> None:
    approval = asked(required=3)

    approve(approval, "ada")
    approve(approval, "sam")
    operations.apply_policy(approval.service, now=timezone.now())

    assert (approval.state, Job.objects.count()) == (Approval.State.PENDING, 0)
    approve(approval, "eve")
    operations.apply_policy(approval.service, now=timezone.now())
    assert approval.decided_by == "ada, sam, eve"
    assert Job.objects.get().requested_by == "policy approve, approved by ada, sam, eve"
    given = Event.objects.filter(type="update.approval_given")
    assert [event.data["approvals"] for event in given.order_by("pk")] == [1, 2]
    assert [event.data["by"] for event in Event.objects.filter(type="update.approved")] == [
        "ada, sam, eve"
    ]
    actors = AuditEntry.objects.filter(action__startswith="update.").values_list("actor", flat=True)
    assert sorted(actors) == ["ada", "eve", "sam"]


@pytest.mark.parametrize("again", ["ada", "staff:ada"])
def test_one_person_is_counted_once(again: str) -> None:
    approval = asked(required=2)
    approve(approval, "ada")

    with pytest.raises(errors.AlreadyApproved):
        approve(approval, again)
    assert approval.decisions.count() == 1


@pytest.mark.parametrize(
    "again", ["otto", "Otto", "otto-2", "oidc:4711", "person:otto", "o.long"], ids=str
)
def test_one_person_with_several_logins_is_counted_once(again: str) -> None:
    several_logins()
    approval = asked(required=2)
    approve(approval, "otto-2")

    with pytest.raises(errors.AlreadyApproved):
        approve(approval, again)
    approve(approval, "otto-3")
    assert approval.state == Approval.State.APPROVED


@pytest.mark.parametrize("by", ["otto", "otto-2", "oidc:4711", "o.long"])
def test_no_author_approves_its_release_by_another_login(by: str) -> None:
    several_logins()
    approval = asked(authors=("oidc:4711",))

    assert operations.is_own(approval, by=by)
    with pytest.raises(errors.OwnRequest):
        approve(approval, by)
    approve(approval, "otto-3")


def test_a_person_renamed_meanwhile_is_still_counted_once() -> None:
    several_logins()
    approval = asked(required=2)
    approve(approval, "otto-2")
    User.objects.filter(username="otto-2").update(username="olaf")

    with pytest.raises(errors.AlreadyApproved):
        approve(approval, "olaf")


def test_postgresql_refuses_a_process_that_approves_for_too_few_people() -> None:
    approval = asked()
    Policy.objects.update(required_approvals=2)
    of_previous_release = Approval.objects.filter(pk=approval.pk)

    with pytest.raises(IntegrityError, match="takes 2 people"), transaction.atomic():
        of_previous_release.update(state="approved", decided_by="ada")

    given = {"verdict": "approved", "way": "api", "decided_at": timezone.now()}
    approval.decisions.create(decided_by="ada", marks=["user 1"], **given)
    approval.decisions.create(decided_by="ada-2", marks=["user 1"], **given)
    approval.decisions.create(decided_by="bob", **given)
    Release.objects.update(authors=["staff:bob"])
    with pytest.raises(IntegrityError, match="2 people, and 1 approved"), transaction.atomic():
        of_previous_release.update(state="approved")
    approval.decisions.create(decided_by="eve", **given)
    assert of_previous_release.update(state="approved") == 1
    Policy.objects.update(required_approvals=3)
    assert of_previous_release.update(state="approved", job_id="deploy-x") == 1


def test_processes_of_the_previous_release_approve_what_takes_one_person() -> None:
    approval = asked()

    assert Approval.objects.filter(pk=approval.pk).update(state="approved") == 1


def several_logins() -> None:
    """Otto logs in with two passwords, by the provider, and with JWTs; ``otto-3`` is another person."""
    local = User.objects.create_user("otto", email="Otto@example.com", password="x", is_staff=True)
    people.account_of(local)
    User.objects.create_user("o.long", email="otto@example.COM")
    provided = User.objects.create_user("otto-2", email="otto@example.com", is_staff=True)
    SocialAccount.objects.create(
        user=provided, provider="oidc", uid="1", extra_data={"iss": "https://id", "sub": "4711"}
    )
    User.objects.create_user("otto-3", is_staff=True)


def test_one_rejection_ends_it_whatever_was_approved() -> None:
    approval = asked(required=2)
    approve(approval, "ada")

    operations.reject(approval, by="ada", reason="on second thoughts", now=timezone.now())

    with pytest.raises(errors.ApprovalDecided):
        approve(approval, "sam")
    verdicts = approval.decisions.values_list("decided_by", "verdict")
    assert list(verdicts) == [("ada", "approved"), ("ada", "rejected")]


def test_a_policy_that_asks_for_more_meanwhile_gets_more() -> None:
    approval = asked()
    Policy.objects.update(required_approvals=2)

    approve(approval, "ada")

    assert approval.state == Approval.State.PENDING


@pytest.mark.parametrize("by", ["ci", "staff:ci"])
def test_no_author_of_the_release_approves_it(by: str) -> None:
    approval = asked(authors=("ci",))

    with pytest.raises(errors.OwnRequest):
        approve(approval, by)
    approve(approval, "ada")
    assert approval.state == Approval.State.APPROVED


def test_an_approver_that_becomes_an_author_counts_no_more() -> None:
    approval = asked(required=2)
    approve(approval, "bob")

    Release.objects.update(authors=["bob"])
    approve(approval, "ada")

    approval.refresh_from_db()
    assert approval.state == Approval.State.PENDING
    approve(approval, "eve")
    approval.refresh_from_db()
    assert approval.decided_by == "ada, eve"


def test_those_who_announce_add_or_replace_the_artifact_are_authors() -> None:
    service = factories.ServiceFactory.create()

    def announce(by: str, **fields: Any) -> list[str]:
        announcement = operations.Announcement(version="1.1.0", **fields)
        return operations.announce(service, announcement, by=by).authors

    assert announce("ci") == ["ci"]
    assert announce("eve", notes="All new.") == ["ci"]
    assert announce("mallory", artifact_url=ARTIFACT) == ["ci", "mallory"]
    assert announce("eve", artifact_url=ARTIFACT) == ["ci", "mallory"]
    assert announce("eve", artifact_url="https://evil.example/1.1.0.tgz") == ["eve"]


def test_a_request_expires_and_says_so() -> None:
    approval = asked(hours=2)
    assert approval.expires_at == approval.requested_at + dt.timedelta(hours=2)
    late = approval.expires_at

    with pytest.raises(errors.ApprovalExpired):
        operations.approve(approval, by="ada", now=late)
    operations.apply_policies(now=late)
    operations.apply_policies(now=late + dt.timedelta(minutes=1))

    approval = Approval.objects.get()
    assert approval.state == Approval.State.EXPIRED
    assert Event.objects.filter(type="update.approval_expired").count() == 1
    assert AuditEntry.objects.get(action="update.expired").actor == "saga"
    assert "in time" in preview.plan(approval.service, now=late).decision.reason
    with pytest.raises(errors.ApprovalExpired):
        approve(approval, "ada")


def test_a_later_announcement_asks_again() -> None:
    approval = asked(hours=2)
    late = timezone.now() + dt.timedelta(hours=3)
    operations.apply_policies(now=late)
    release = Release.objects.get()
    same = operations.Announcement(version=release.version, artifact_url=release.artifact_url)

    operations.announce(approval.service, same, by="ci")
    operations.apply_policies(now=late)

    assert list(Approval.objects.order_by("pk").values_list("state", flat=True)) == [
        "superseded",
        "pending",
    ]


def test_the_expired_request_of_a_person_is_none_of_the_policys() -> None:
    approval = asked(hours=2)
    Approval.objects.update(requested_by="ci")

    operations.apply_policies(now=timezone.now() + dt.timedelta(hours=3))

    states = Approval.objects.filter(service=approval.service).values_list("requested_by", "state")
    assert set(states) == {("ci", "expired"), ("", "pending")}


@pytest.mark.django_db(transaction=True)
def test_people_that_approve_at_the_same_moment_are_all_counted() -> None:
    approval = asked(required=3)

    def decide(name: str) -> None:
        try:
            approve(Approval.objects.get(pk=approval.pk), name)
        finally:
            connection.close()

    together(*(lambda name=name: decide(name) for name in ("ada", "sam", "eve")))

    assert ApprovalDecision.objects.count() == 3
    assert Approval.objects.get().state == Approval.State.APPROVED


@pytest.mark.django_db(transaction=True)
def test_an_approval_and_a_rejection_at_the_same_moment_are_one_decision() -> None:
    approval = asked()
    results: list[str] = []

    def decide(verb: str) -> None:
        row = Approval.objects.get(pk=approval.pk)
        try:
            if verb == "approve":
                approve(row, "ada")
            else:
                operations.reject(row, by="sam", reason="no", now=timezone.now())
            results.append(row.state)
        except errors.ApprovalDecided:
            results.append("late")
        finally:
            connection.close()

    together(lambda: decide("approve"), lambda: decide("reject"))

    assert min(results) in ("approved", "late")
    assert "late" in results
    assert Approval.objects.get().state in results


def test_a_service_without_a_policy_asks_for_one_approval() -> None:
    service: Service = factories.ServiceFactory.create()
    release = factories.ReleaseFactory.create(service=service)

    approval = operations.request_approval(release, by="ci", strategy="rolling", now=timezone.now())

    assert (operations.required_of(approval), approval.expires_at) == (1, None)
