"""Role by page by button: a visible button works, and a hidden one is rejected."""

from __future__ import annotations

import datetime as dt
import re

import pytest
from django.contrib.auth.models import User
from django.test import Client

from registry.models import Event, Service
from tests.saga_project.console import rows
from tests.saga_project.console.conftest import Member
from updates.models import Approval, AuditEntry, Freeze, Job, Policy

VIEWER, OPERATOR, APPROVER, ADMINISTRATOR = "viewers", "operators", "approvers", "administrators"
ROLES = (VIEWER, OPERATOR, APPROVER, ADMINISTRATOR)

#: Each button that the pages of ``rows`` offer, and from which role on it is there.
MATRIX = {
    ("service", "approve"): APPROVER,
    ("service", "reject"): APPROVER,
    ("service", "look"): OPERATOR,
    ("service", "begin-maintenance"): OPERATOR,
    ("service", "labels"): OPERATOR,
    ("service", "deregister"): OPERATOR,
    ("deployment", "resume"): OPERATOR,
    ("deployment", "promote"): OPERATOR,
    ("deployment", "promote-fully"): OPERATOR,
    ("deployment", "abort"): OPERATOR,
    ("approval", "approve"): APPROVER,
    ("approval", "reject"): APPROVER,
    ("inbound call", "replay"): OPERATOR,
    ("delivery", "replay"): OPERATOR,
    ("free service", "look"): OPERATOR,
    ("free service", "deploy"): OPERATOR,
    ("free service", "roll-back"): OPERATOR,
    ("free service", "reject"): APPROVER,
    ("free service", "begin-maintenance"): OPERATOR,
    ("free service", "labels"): OPERATOR,
    ("free service", "deregister"): OPERATOR,
    ("queued deployment", "pause"): OPERATOR,
    ("queued deployment", "abort"): OPERATOR,
    ("running deployment", "pause"): OPERATOR,
    ("running deployment", "promote-fully"): OPERATOR,
    ("running deployment", "abort"): OPERATOR,
    ("rolling_back deployment", "retry"): OPERATOR,
    ("rolling_back deployment", "abort"): OPERATOR,
    ("failed deployment", "retry"): OPERATOR,
    ("rolled_back deployment", "retry"): OPERATOR,
    ("cancelled deployment", "retry"): OPERATOR,
    ("stranded deployment", "retry"): OPERATOR,
    ("stranded deployment", "acknowledge"): APPROVER,
}
#: What makes the deployments of the matrix, besides the paused one, what they are called there.
DEPLOYMENTS: dict[str, dict[str, object]] = {
    **{f"{status} deployment": {"status": status} for status in Job.Status if status != "paused"},
    "stranded deployment": {"status": Job.Status.FAILED, "needs_attention": True},
}
_BUTTON = re.compile(r'id="verb-([a-z-]+)" href="([^"]+)"')


def pages() -> dict[str, str]:
    """Make what the matrix names; return the address of each page."""
    made = rows.make().pages()
    free = rows.make(name="free").service
    Service.objects.filter(pk=free.pk).update(status=Service.Status.ACTIVE)
    Job.objects.filter(service=free).update(status=Job.Status.SUCCEEDED)
    made["free service"] = f"/admin/services/{free.name}/"
    for number, (title, fields) in enumerate(DEPLOYMENTS.items()):
        job = rows.make(name=f"shop-{number}").job
        Job.objects.filter(pk=job.pk).update(**fields)
        made[title] = f"/admin/deployments/{job.job_id}/"
    return made


def buttons(client: Client, address: str) -> dict[str, str]:
    """Return the buttons on a page, and where each leads."""
    response = client.get(address)
    assert response.status_code == 200, response.content[:500]
    return dict(_BUTTON.findall(response.content.decode()))


def expected(page: str, role: str) -> set[str]:
    at = ROLES.index(role)
    return {
        verb
        for (where, verb), least in MATRIX.items()
        if where == page and at >= ROLES.index(least)
    }


@pytest.mark.parametrize("role", ROLES)
def test_a_role_sees_exactly_its_buttons(role: str, member: Member, redis: object) -> None:
    made, client = pages(), member(role)

    seen = {page: set(buttons(client, address)) for page, address in made.items()}

    assert seen == {page: expected(page, role) for page in made}


@pytest.mark.parametrize("role", ROLES)
def test_a_role_may_press_exactly_its_buttons(role: str, member: Member, redis: object) -> None:
    made, administrator, client = pages(), member(ADMINISTRATOR), member(role)
    links = {
        (page, verb): link
        for page, address in made.items()
        for verb, link in buttons(administrator, address).items()
    }

    answers = {key: client.get(link).status_code for key, link in links.items()}

    assert answers == {
        (page, verb): 200 if verb in expected(page, role) else 403 for page, verb in links
    }


@pytest.mark.parametrize("method", ["get", "post"])
@pytest.mark.parametrize("role", [VIEWER, OPERATOR])
def test_what_is_no_button_of_theirs_changes_nothing(
    role: str, method: str, member: Member, redis: object
) -> None:
    made = rows.make()

    response = getattr(member(role), method)(f"/admin/services/{made.service.name}/do/approve/")

    assert response.status_code == 403
    assert Service.objects.get(pk=made.service.pk).status == Service.Status.PENDING_APPROVAL


def test_url_of_a_channel_needs_the_permission_to_configure(member: Member, redis: object) -> None:
    made = rows.make()
    address = made.pages()["configuration"]

    assert b"a-secret-path" in member(ADMINISTRATOR).get(address).content
    assert b"a-secret-path" not in member(APPROVER).get(address).content
    assert (
        member(APPROVER).post(address, {"channel": "ops", "url": "http://evil/"}).status_code == 403
    )


def test_notes_are_for_operators(member: Member, redis: object) -> None:
    made = rows.make()
    address = f"/admin/services/{made.service.name}/notes/"

    assert member(VIEWER).post(address, {"notes": "mine"}).status_code == 403
    assert member(OPERATOR).post(address, {"notes": "ours"}).status_code == 302
    assert Service.objects.get(pk=made.service.pk).notes == "ours"


def test_an_approver_does_not_approve_their_own_request_where_two_are_asked_for(
    member: Member, redis: object
) -> None:
    made, client = rows.make(), member(APPROVER)
    Policy.objects.filter(service=made.service).update(requires_second_person=True)
    Approval.objects.filter(pk=made.approval.pk).update(requested_by="one-of-approvers")

    seen = buttons(client, made.pages()["approval"])
    answer = client.post(f"/admin/approvals/{made.approval.pk}/do/approve/", {"reason": ""})

    assert set(seen) == {"reject"}
    assert answer.status_code == 302
    assert Approval.objects.get(pk=made.approval.pk).state == "pending"


def test_a_retry_takes_an_override_where_a_gate_is_closed(member: Member, redis: object) -> None:
    made = rows.make()
    Job.objects.filter(pk=made.job.pk).update(status=Job.Status.FAILED)
    Policy.objects.filter(service=made.service).update(requires_second_person=True)
    address = f"/admin/deployments/{made.job.job_id}/do/retry/"
    reason = {"override_reason": "the shop is down"}

    assert b"override_reason" not in member(OPERATOR).get(address).content
    member(OPERATOR).post(address, reason)
    member(APPROVER).post(address, {})
    assert Job.objects.count() == 1
    assert b"override_reason" in member(APPROVER).get(address).content
    member(APPROVER).post(address, reason)

    entry = AuditEntry.objects.get(action="approval.overridden")
    assert (entry.actor, entry.data["reason"]) == ("one-of-approvers", "the shop is down")
    reported = Event.objects.get(type="deployment.overridden").data
    assert (reported["by"], reported["reason"]) == ("one-of-approvers", "the shop is down")


def test_a_stranger_is_sent_to_the_login(db: None, redis: object) -> None:
    made, client = rows.make(), Client(SERVER_NAME="localhost")

    for address in made.pages().values():
        assert client.get(address).headers["Location"].startswith("/admin/login/")


def test_user_that_is_not_staff_sees_nothing(db: None, redis: object) -> None:
    made, client = rows.make(), Client(SERVER_NAME="localhost")
    client.force_login(
        User.objects.create_user("guest"), backend="django.contrib.auth.backends.ModelBackend"
    )

    for address in made.pages().values():
        assert client.get(address).status_code == 302


def test_a_service_is_taken_out_of_the_lookups_and_put_back(member: Member, redis: object) -> None:
    service = rows.make().service
    client, address = member(OPERATOR), f"/admin/services/{service.name}/"

    client.post(f"{address}do/begin-maintenance/", {"instance": "*", "reason": "new disks"})
    page = client.get(address).content.decode()
    service.refresh_from_db()
    client.post(f"{address}do/end-maintenance/", {"instance": "*"})

    assert service.maintenance_reason == "new disks"
    assert "In maintenance." in page
    assert not Service.objects.exclude(maintenance_since=None).exists()


def test_a_verb_that_came_too_late_says_so(member: Member, redis: object) -> None:
    made = rows.make()
    Job.objects.filter(pk=made.job.pk).update(status=Job.Status.SUCCEEDED)

    response = member(OPERATOR).post(f"/admin/deployments/{made.job.job_id}/do/abort/", follow=True)

    assert "has moved on" in response.content.decode()


def test_a_refused_deployment_keeps_what_was_entered(member: Member, redis: object) -> None:
    made = rows.make()
    Service.objects.filter(pk=made.service.pk).update(status=Service.Status.ACTIVE)
    Job.objects.filter(service=made.service).update(status=Job.Status.SUCCEEDED)
    Freeze.objects.create(name="now", starts_on=dt.date(2000, 1, 1), ends_on=dt.date(2100, 1, 1))
    address = f"/admin/services/{made.service.name}/do/deploy/"
    # An approver may override the freeze, and forgets to.
    version = re.findall(r'<option value="([^"]+)"', member(APPROVER).get(address).content.decode())

    answer = member(APPROVER).post(address, {"version": version[-1], "strategy": "canary"})

    page = answer.content.decode()
    assert answer.status_code == 409
    assert '<option value="canary" selected>' in page


def test_a_button_that_can_only_fail_says_why(member: Member, redis: object) -> None:
    made = rows.make()
    Service.objects.filter(pk=made.service.pk).update(status=Service.Status.ACTIVE)
    Job.objects.filter(pk=made.job.pk).update(status=Job.Status.RUNNING, needs_attention=False)
    client, address = member(OPERATOR), f"/admin/services/{made.service.name}/"

    page = client.get(address).content.decode()
    refused = client.post(f"{address}do/deploy/", {"version": "1"}, follow=True)

    assert 'aria-disabled="true"' in page
    assert f"{made.job.job_id} is running: wait for its end" in page
    assert "has moved on" in refused.content.decode()
