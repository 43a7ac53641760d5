"""Approve and reject by links in messages and by buttons in Slack."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlencode

import pytest
from allauth.socialaccount.models import SocialAccount
from django.contrib.auth.models import Group, User
from django.db import connection, transaction
from django.test import Client
from django.utils import timezone
from pytest_django import Settings
from rest_framework.test import APIClient

import updates.operations
from saga_project.shared import crypto, http_client
from tests import factories
from tests.api_clients import Bearer
from tests.webhooks.outbound.alerts.test_alerts import at, happen
from updates.models import Approval, ApprovalDecision, Job, Policy, Release
from webhooks.inbound import slack as slack_calls
from webhooks.models import ApprovalLink, Delivery, Endpoint
from webhooks.outbound import approval_links, rendering
from webhooks.outbound.alerts import sending

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis", "public")]

PUBLIC = "https://saga.example"
SIGNING_SECRET = "8f742231b10e8888abcd99yyyzzz85a5"


@pytest.fixture
def public(settings: Settings) -> None:
    settings.SAGA_PUBLIC_URL = PUBLIC


def person(name: str = "sam", *, group: str = "approvers") -> User:
    user = User.objects.create_user(name, is_staff=True)
    user.groups.add(Group.objects.get(name=group))
    return user


def channel(**fields: Any) -> Endpoint:
    defaults = {"channel": "sam", "url": "mailto:sam@example.com", "format": "email"}
    owner = factories.ConfigurationFactory.create(service=None, is_administered=True)
    return factories.EndpointFactory.create(
        configuration=owner, **{**defaults, "options": {"approver": "sam"}, **fields}
    )


def slack_channel(**approvers: str) -> Endpoint:
    return channel(
        channel="slack",
        url="https://slack.com/api/chat.postMessage",
        format="slack",
        options={"channel": "C0123456", "approvers": approvers or {"U0SAM": "sam"}},
        sealed_secret=crypto.encrypt("xoxb-1"),
        sealed_signing_secret=crypto.encrypt(SIGNING_SECRET),
    )


def asked(**policy: Any) -> Approval:
    """A request that a policy makes, after its messages were made."""
    factories.NotificationRuleFactory.create(
        event_types=["update.awaiting_approval"], channels=["*"], group_seconds=0
    )
    service = factories.ServiceFactory.create(version="1.0.0")
    factories.PolicyFactory.create(service=service, kind="approve", **policy)
    factories.ReleaseFactory.create(service=service, version="1.1.0")
    updates.operations.apply_policy(service, now=timezone.now())
    with transaction.atomic():
        happen("update.awaiting_approval", service.name, version="1.1.0")
        sending.send_due(now=max(at(5), timezone.now()))
    return Approval.objects.get()


def links() -> dict[str, str]:
    """What the message of the only delivery carries when it is sent: the paths by their label."""
    text = json.loads(rendering.render(Delivery.objects.get()).body)["text"]
    found = re.findall(rf"(Approve|Reject): {PUBLIC}(/\S+)", text)
    return dict(found)


def visit(method: str, path: str, **data: str) -> Any:
    client = Client(SERVER_NAME="localhost")
    return getattr(client, method)(path, data)


def test_a_link_asks_once_and_its_form_decides() -> None:
    person()
    channel()
    approval = asked()
    path = links()["Approve"]

    seen = [visit("get", path), visit("head", path)]
    assert {answer.status_code for answer in seen} == {200}
    assert b"sha256:" in seen[0].content
    assert seen[0].headers["Referrer-Policy"] == "same-origin"
    assert "no-store" in seen[0].headers["Cache-Control"]
    assert not ApprovalDecision.objects.exists()

    done = visit("post", path, reason="read it")
    assert (done.status_code, b"is approved" in done.content) == (200, True)
    decision = ApprovalDecision.objects.get()
    assert (decision.decided_by, decision.way, decision.reason) == ("sam", "link", "read it")
    again = visit("post", path)
    assert (again.status_code, b"used already" in again.content) == (409, True)
    assert Approval.objects.get(pk=approval.pk).state == "approved"
    assert b"withdrawn" in visit("get", links()["Reject"]).content


def test_a_form_without_its_secret_is_refused() -> None:
    person()
    channel()
    asked()
    client = Client(SERVER_NAME="localhost", enforce_csrf_checks=True)
    path = links()["Approve"]

    assert client.post(path, {}).status_code == 403
    client.get(path)
    secret = client.cookies["csrftoken"].value
    foreign = client.post(
        path, {"csrfmiddlewaretoken": secret}, headers={"Origin": "https://evil.example"}
    )
    assert foreign.status_code == 403
    assert not ApprovalDecision.objects.exists()
    assert client.post(path, {"csrfmiddlewaretoken": secret}).status_code == 200


def test_a_rejection_takes_a_reason_and_its_link_stays_good_until_then() -> None:
    person()
    channel()
    asked()
    path = links()["Reject"]

    assert b"must say why" in visit("post", path, reason=" ").content
    assert b"is rejected" in visit("post", path, reason="not today").content
    assert Approval.objects.get().decided_by == "sam"


def test_neither_delivery_nor_database_holds_a_link_that_works() -> None:
    person()
    channel()
    asked()

    stored = json.dumps(Delivery.objects.get().payload)
    link = ApprovalLink.objects.first()
    assert link is not None
    assert approval_links.WITHHELD in stored
    assert approval_links.token_of(link.pk) not in stored
    for token in (f"{link.pk.hex}.{approval_links.WITHHELD}", f"{link.pk.hex}.", link.pk.hex, "x"):
        assert visit("get", f"/admin/approve/{token}/").status_code == 404
    token = approval_links.token_of(link.pk)
    assert (
        visit("get", f"/admin/approve/{token[:-1]}{'0' if token[-1] != '0' else '1'}/").status_code
        == 404
    )


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda: ApprovalLink.objects.update(expires_at=timezone.now()), b"has expired"),
        (lambda: Release.objects.update(checksum="sha256:" + "b" * 64), b"another artifact"),
        (lambda: Approval.objects.update(state="superseded"), b"superseded"),
        (lambda: User.objects.update(is_active=False), b"may not decide"),
        (lambda: User.objects.get().groups.set([]), b"may not decide"),
        (lambda: Approval.objects.update(requested_by="sam"), b"You asked for it"),
        (lambda: Release.objects.update(authors=["sam"]), b"You asked for it"),
        (lambda: Approval.objects.update(expires_at=timezone.now()), b"not decided in time"),
        (lambda: Endpoint.objects.update(options={"approver": "eve"}), b"another reader"),
        (lambda: Endpoint.objects.all().delete(), b"another reader"),
    ],
)
def test_a_link_is_bound_to_what_was_sent_to_its_reader(change: Any, said: bytes) -> None:
    person()
    channel()
    asked()
    path = links()["Approve"]
    change()

    answer = visit("post", path)

    assert said in answer.content
    assert answer.status_code in (403, 409)
    assert not ApprovalDecision.objects.exists()


def test_a_message_that_goes_elsewhere_meanwhile_carries_no_link_that_works(
    api: APIClient,
    bearer: Bearer,
) -> None:
    person()
    made = channel()
    asked()
    chief = bearer("admin:registry", account="chief")

    moved = api.patch(
        f"/api/v1/channels/{made.pk}",
        {"url": "mailto:eve@example.com"},
        format="json",
        headers=chief,
    )

    assert moved.status_code == 200
    message = rendering.render(Delivery.objects.get())
    assert message.addresses == ("eve@example.com",)
    assert {path.partition(".")[2] for path in links().values()} == {f"{approval_links.WITHHELD}/"}


def test_the_proof_of_one_link_opens_no_other() -> None:
    person()
    channel()
    asked()
    first, second = ApprovalLink.objects.order_by("pk")
    mixed = (
        f"{first.pk.hex}.{approval_links.token_of(second.pk).partition('.')[2]}",
        approval_links.token_of(first.pk).upper(),
        f"{first.pk}.{approval_links.token_of(first.pk).partition('.')[2]}",
    )

    assert {visit("post", f"/admin/approve/{token}/").status_code for token in mixed} == {404}
    assert not ApprovalDecision.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_a_link_that_is_clicked_twice_at_once_decides_once() -> None:
    person()
    channel()
    asked(required_approvals=2)
    path = links()["Approve"]

    def click(_: int) -> int:
        try:
            return int(visit("post", path).status_code)
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        statuses = sorted(pool.map(click, range(4)))

    assert statuses == [200, 409, 409, 409]
    assert ApprovalDecision.objects.count() == 1
    assert Approval.objects.get().state == "pending"


@pytest.mark.parametrize("by", ["sam", "sam-2", "oidc:7"])
def test_an_author_decides_by_no_link_of_another_login(by: str) -> None:
    provided = person()
    person("sam-2")
    for user in (provided, User.objects.get(username="sam-2")):
        data = {"iss": "https://id", "sub": "7" if user == provided else "8"}
        SocialAccount.objects.create(user=user, provider="oidc", uid=data["sub"], extra_data=data)
    channel(options={"approver": "sam-2"})
    asked()
    Release.objects.update(authors=[by])

    assert b"You asked for it" in visit("post", links()["Approve"]).content
    assert not ApprovalDecision.objects.exists()


def test_links_of_two_readers_are_two_approvals() -> None:
    person("sam")
    person("ada")
    owner = channel().configuration
    factories.EndpointFactory.create(
        configuration=owner,
        channel="ada",
        url="mailto:ada@example.com",
        format="email",
        options={"approver": "ada"},
    )
    asked(required_approvals=2)
    for link in ApprovalLink.objects.filter(verdict="approved"):
        answer = visit("post", f"/admin/approve/{approval_links.token_of(link.pk)}/")
        assert answer.status_code == 200

    assert set(Approval.objects.get().decided_by.split(", ")) == {"ada", "sam"}


@pytest.mark.parametrize("has_address", [True, False])
def test_a_channel_without_an_approver_or_saga_without_an_address_sends_no_links(
    settings: Settings, has_address: bool
) -> None:
    settings.SAGA_PUBLIC_URL = PUBLIC if has_address else ""
    channel(options={} if has_address else {"approver": "sam"})
    asked()

    assert Delivery.objects.exists()
    assert not ApprovalLink.objects.exists()
    assert links() == {}


# --- Approvers of channels ---


def put(api: APIClient, headers: Any = None, **body: Any) -> Any:
    return api.post("/api/v1/channels", body, format="json", headers=headers or {})


def test_only_administrators_name_approvers_on_a_channel_with_one_reader(
    api: APIClient,
    bearer: Bearer,
) -> None:
    person()
    person("vera", group="viewers")
    chief, owner = bearer("admin:registry", account="chief"), bearer("webhooks:manage", account="o")
    mail = {"channel": "sam", "url": "mailto:sam@example.com", "options": {"approver": "sam"}}

    refused = [
        put(api, **mail),
        put(api, owner, **mail),
        put(api, chief, **{**mail, "options": {"approver": "vera"}}),
        put(api, chief, **{**mail, "url": "mailto:a@example.com,b@example.com"}),
        put(api, chief, **{**mail, "url": "https://x.example"}),
    ]
    assert [answer.status_code for answer in refused[:3]] == [403, 403, 403]
    assert [answer.status_code for answer in refused[3:]] == [400, 400]
    made = put(api, chief, **mail)
    assert made.status_code == 201
    address = f"/api/v1/channels/{made.json()['id']}"
    moved = api.patch(address, {"url": "mailto:eve@example.com"}, format="json", headers=chief)
    assert moved.json()["options"] == {}


# --- Buttons in Slack ---


def clicked(
    user: str,
    value: str,
    *,
    action: object = "saga_approve",
    channel_id: str = "C0123456",
    answer_url: str = "https://hooks.slack.com/actions/T1/1/x",
) -> bytes:
    payload = {
        "type": "block_actions",
        "user": {"id": user, "username": "sam"},
        "channel": {"id": channel_id, "name": "ops"},
        "response_url": answer_url,
        "actions": [{"action_id": action, "value": value, "type": "button"}],
    }
    return urlencode({"payload": json.dumps(payload)}).encode()


def send(body: bytes, *, secret: str = SIGNING_SECRET, age: int = 0) -> Any:
    stamp = str(int(timezone.now().timestamp()) - age)
    text = b"v0:" + stamp.encode() + b":" + body
    signature = "v0=" + hmac.new(secret.encode(), text, hashlib.sha256).hexdigest()
    return APIClient().post(
        "/api/v1/webhooks/slack",
        body,
        content_type="application/x-www-form-urlencoded",
        headers={"X-Slack-Signature": signature, "X-Slack-Request-Timestamp": stamp},
    )


@pytest.fixture
def reported(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    texts: list[str] = []

    def note(method: str, url: str, *, body: bytes, **_: Any) -> None:
        assert (method, url.startswith("https://hooks.slack.com/")) == ("POST", True)
        texts.append(json.loads(body)["text"])

    monkeypatch.setattr(http_client, "request", note)
    return texts


def button() -> str:
    blocks = json.loads(rendering.render(Delivery.objects.get()).body)["blocks"]
    approve, reject = blocks[1]["elements"]
    assert (approve["action_id"], reject["action_id"]) == ("saga_approve", "saga_reject")
    return str(approve["value"])


def test_a_button_decides_as_the_person_behind_the_user(reported: list[str]) -> None:
    person()
    slack_channel()
    asked()

    answer = send(clicked("U0SAM", button()))

    assert (answer.status_code, answer.json()["status"]) == (200, "recorded")
    decision = ApprovalDecision.objects.get()
    assert (decision.decided_by, decision.way) == ("sam", "slack")
    assert reported == [answer.json()["message"]]
    again = send(clicked("U0SAM", button(), action="saga_reject"))
    assert (again.json()["status"], "approved already" in again.json()["message"]) == (
        "refused",
        True,
    )


def test_a_rejection_by_button_says_where_it_comes_from(reported: list[str]) -> None:
    person()
    slack_channel()
    asked()

    assert send(clicked("U0SAM", button(), action="saga_reject")).json()["status"] == "recorded"
    assert "Slack" in Approval.objects.get().reason


@pytest.mark.parametrize(
    ("user", "said"), [("U0EVE", "does not know"), ("U0VERA", "may not decide")]
)
def test_a_user_that_is_no_approver_decides_nothing(
    reported: list[str], user: str, said: str
) -> None:
    person("vera", group="viewers")
    slack_channel(U0SAM="sam", U0VERA="vera")
    asked()

    answer = send(clicked(user, button()))

    assert (answer.status_code, answer.json()["status"]) == (200, "refused")
    assert said in reported[0]
    assert not ApprovalDecision.objects.exists()


def test_only_a_fresh_signature_of_the_apps_secret_counts(reported: list[str]) -> None:
    person()
    slack_channel()
    asked()
    body = clicked("U0SAM", button())

    answers = [
        send(body, secret="another"),
        send(body, age=slack_calls.MAX_AGE_SECONDS + 5),
        send(body, age=-slack_calls.MAX_AGE_SECONDS - 3600),
        APIClient().post(
            "/api/v1/webhooks/slack", body, content_type="application/x-www-form-urlencoded"
        ),
    ]

    assert [answer.status_code for answer in answers] == [401] * 4
    assert not ApprovalDecision.objects.exists()


@pytest.mark.parametrize(
    "body",
    [
        clicked("U0SAM", "1:x", channel_id="C0999999"),
        clicked("U0SAM", "1:x", action="other"),
        urlencode({"payload": "[]"}).encode(),
        urlencode({"payload": '{"actions": [1]}'}).encode(),
        b"payload=%7B",
        b"",
        clicked("U0SAM", "1:x", action={}),
    ],
)
def test_what_is_no_click_is_bad_request(reported: list[str], body: bytes) -> None:
    slack_channel()

    assert send(body).status_code == 400


def test_a_click_without_a_place_for_the_answer_decides(reported: list[str]) -> None:
    person()
    slack_channel()
    asked()

    answer = send(clicked("U0SAM", button(), answer_url="https://["))

    assert (answer.json()["status"], reported) == ("recorded", [])


@pytest.mark.parametrize("value", ["", "x", "1", f"{9**30}:x", "٣:x"])
def test_a_button_of_no_request_decides_nothing(reported: list[str], value: str) -> None:
    person()
    slack_channel()

    assert send(clicked("U0SAM", value)).json()["status"] == "refused"


def test_a_button_is_bound_to_the_artifact(reported: list[str]) -> None:
    person()
    slack_channel()
    asked()
    value = button()
    Release.objects.update(artifact_url="https://evil.example/1.1.0.tgz")

    assert "another artifact" in send(clicked("U0SAM", value)).json()["message"]
    assert not Job.objects.exists()
    assert Policy.objects.exists()
