"""Foreign senders at ``from/{sender}/{service}``: proofs, pings, unknown events, pushes and releases.

The payloads are those of the senders' documentation, cut to the fields that count and a few beside them.
"""

from __future__ import annotations

import base64
import dataclasses
import datetime as dt
import hashlib
import hmac
import json
import urllib.parse
from collections.abc import Callable
from typing import Any

import pytest
from django.utils import timezone
from pytest_django import Settings
from pytest_httpserver import HTTPServer
from rest_framework.test import APIClient

from registry.identity import accounts
from registry.models import Service
from tests import factories
from tests.api_clients import Bearer, CommittingClient
from updates import tasks
from updates.models import Release, Source
from webhooks import inbound, operations
from webhooks.inbound.senders import SENDERS
from webhooks.models import InboundCall

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis")]

NAME = "payment"
SECRET = "a long secret of payment"
DIGEST = "sha256:" + "ab" * 32
Fields = dict[str, Any]
Headers = dict[str, str]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sent:
    """A call as its sender makes it; ``proof`` returns headers, or with ``?`` the query."""

    body: Any  #: an object, or in a batch an array
    headers: Headers = dataclasses.field(default_factory=dict)
    is_form: bool = False
    content_type: str = "application/json"

    @property
    def raw(self) -> bytes:
        text = json.dumps(self.body)
        return urllib.parse.urlencode({"payload": text}).encode() if self.is_form else text.encode()


def hmac_in(header: str, prefix: str = "") -> Callable[[Sent, str], Headers]:
    def sign(sent: Sent, secret: str) -> Headers:
        return {header: prefix + hmac.new(secret.encode(), sent.raw, hashlib.sha256).hexdigest()}

    return sign


def hmac_of_payload(header: str) -> Callable[[Sent, str], Headers]:
    """Sign the JSON, also where it is sent in a form."""

    def sign(sent: Sent, secret: str) -> Headers:
        said = json.dumps(sent.body).encode()
        return {header: hmac.new(secret.encode(), said, hashlib.sha256).hexdigest()}

    return sign


def standard(sent: Sent, secret: str) -> Headers:
    """Sign as GitLab does with a signing token."""
    moment = str(int(timezone.now().timestamp()))
    signed = f"msg_1.{moment}.".encode() + sent.raw
    digest = base64.b64encode(hmac.digest(secret.encode(), signed, hashlib.sha256)).decode()
    return {
        "webhook-id": "msg_1",
        "webhook-timestamp": moment,
        "webhook-signature": f"v1,{digest}",
    }


def secret_in(header: str, prefix: str = "") -> Callable[[Sent, str], Headers]:
    return lambda _, secret: {header: prefix + secret}


def in_query(_: Sent, secret: str) -> Headers:
    return {"?": urllib.parse.quote(secret)}


REPOSITORY: Fields = {"id": 1, "name": NAME, "full_name": f"acme/{NAME}"}
PROJECT: Fields = {"id": 1, "name": NAME, "path_with_namespace": f"acme/{NAME}"}
PUSH: Fields = {
    "ref": "refs/heads/main",
    "before": "0" * 40,
    "after": "1" * 40,
    "repository": REPOSITORY,
}
GITHUB_PACKAGE: Fields = {
    "action": "published",
    "registry_package": {
        "name": NAME,
        "package_type": "CONTAINER",
        "package_version": {
            "version": DIGEST,
            "package_url": f"ghcr.io/acme/{NAME}:latest",
            "container_metadata": {"tag": {"name": "latest", "digest": DIGEST}},
        },
    },
    "repository": REPOSITORY,
}
DOCKER_HUB: Fields = {
    "callback_url": "https://registry.hub.docker.com/u/acme/payment/hook/2141b5bi5i5b02bec211i4eeih0242eg11000a/",
    "push_data": {"pushed_at": 1417566161, "pusher": "trustedbuilder", "tag": "latest"},
    "repository": {
        "name": NAME,
        "namespace": "acme",
        "repo_name": f"acme/{NAME}",
        "is_private": True,
    },
}
QUAY: Fields = {
    "name": NAME,
    "repository": f"acme/{NAME}",
    "namespace": "acme",
    "docker_url": f"quay.io/acme/{NAME}",
    "homepage": f"https://quay.io/repository/acme/{NAME}",
    "updated_tags": ["latest"],
}
HARBOR_DATA: Fields = {
    "resources": [
        {"digest": DIGEST, "tag": "latest", "resource_url": f"harbor.example/acme/{NAME}:latest"}
    ],
    "repository": {"name": NAME, "namespace": "acme", "repo_full_name": f"acme/{NAME}"},
}
HARBOR: Fields = {
    "type": "PUSH_ARTIFACT",
    "occur_at": 1680501893,
    "operator": "admin",
    "event_data": HARBOR_DATA,
}
OCI_EVENT: Fields = {
    "id": "320678d8-ca14-430f-8bb6-4ca139cd83f7",
    "timestamp": "2016-03-09T14:44:26.402973972-08:00",
    "action": "push",
    "target": {
        "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
        "size": 708,
        "digest": DIGEST,
        "repository": f"acme/{NAME}",
        "url": f"https://registry.example/v2/acme/{NAME}/manifests/{DIGEST}",
        "tag": "latest",
    },
    "request": {"id": "6df24a34", "host": "registry.example", "method": "PUT"},
}
CLOUD_EVENT: Fields = {
    "specversion": "1.0",
    "id": "A234-1234-1234",
    "source": "https://ci.example/payment",
    "type": "dev.cdevents.artifact.published.0.2.0",
    "time": "2026-02-01T10:00:00Z",
    "datacontenttype": "application/json",
    "data": {"subject": {"id": "pkg:oci/payment"}},
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Case:
    sender: str
    proof: Callable[[Sent, str], Headers]
    push: Sent
    unknown: Sent
    ping: Sent | None = None


def github(event: str, body: Fields, *, is_form: bool = False) -> Sent:
    headers = {"X-GitHub-Event": event}
    return Sent(body=body, headers=headers, is_form=is_form)


def gitea(brand: str, event: str, body: Fields, *, is_form: bool = False) -> Sent:
    headers = {f"X-{brand}-Event": event, "X-GitHub-Event": event}
    return Sent(body=body, headers=headers, is_form=is_form)


def gitlab(event: str, kind: str, **fields: Any) -> Sent:
    return Sent(
        body={"object_kind": kind, "project": PROJECT, **fields}, headers={"X-Gitlab-Event": event}
    )


def bitbucket(event: str, **fields: Any) -> Sent:
    body = {"repository": REPOSITORY, **fields}
    return Sent(body=body, headers={"X-Event-Key": event})


def cloud_event(**fields: Any) -> Sent:
    return Sent(body={**CLOUD_EVENT, **fields}, content_type="application/cloudevents+json")


def batch(*events: Fields) -> Sent:
    return Sent(
        body=[{**CLOUD_EVENT, **event} for event in events],
        content_type="application/cloudevents-batch+json",
    )


CE_HEADERS = {
    f"ce-{name}": str(CLOUD_EVENT[name]) for name in ("specversion", "id", "source", "type")
}
TAG_PUSH = gitlab("Tag Push Hook", "tag_push", ref="refs/tags/v1.3.0")
PING = {"zen": "Keep it logically awesome.", "hook_id": 1, "organization": {"login": "acme"}}
CASES = {
    "github": Case(
        sender="github",
        proof=hmac_in("X-Hub-Signature-256", "sha256="),
        push=github("push", PUSH),
        unknown=github("issues", {"action": "opened", "repository": REPOSITORY}),
        ping=github("ping", PING),
    ),
    "github form": Case(
        sender="github",
        proof=hmac_in("X-Hub-Signature-256", "sha256="),
        push=github("push", PUSH, is_form=True),
        unknown=github("issues", {"action": "opened", "repository": REPOSITORY}, is_form=True),
        ping=github("ping", PING, is_form=True),
    ),
    "ghcr": Case(
        sender="ghcr",
        proof=hmac_in("X-Hub-Signature-256", "sha256="),
        push=github("registry_package", GITHUB_PACKAGE),
        unknown=github("push", PUSH),
        ping=github("ping", PING),
    ),
    "gitlab token": Case(
        sender="gitlab",
        proof=secret_in("X-Gitlab-Token"),
        push=TAG_PUSH,
        unknown=gitlab("Note Hook", "note"),
    ),
    "gitlab signing token": Case(
        sender="gitlab", proof=standard, push=TAG_PUSH, unknown=gitlab("Note Hook", "note")
    ),
    "gitlab pipeline": Case(
        sender="gitlab",
        proof=secret_in("X-Gitlab-Token"),
        push=gitlab(
            "Pipeline Hook", "pipeline", object_attributes={"tag": True, "status": "success"}
        ),
        unknown=gitlab(
            "Pipeline Hook", "pipeline", object_attributes={"tag": False, "status": "success"}
        ),
    ),
    "gitea": Case(
        sender="gitea",
        proof=hmac_of_payload("X-Gitea-Signature"),
        push=gitea("Gitea", "push", PUSH),
        unknown=gitea("Gitea", "issues", {"action": "opened", "repository": REPOSITORY}),
    ),
    "forgejo form": Case(
        sender="forgejo",
        proof=hmac_of_payload("X-Forgejo-Signature"),
        push=gitea("Forgejo", "create", {**PUSH, "ref_type": "tag"}, is_form=True),
        unknown=gitea("Forgejo", "fork", {"repository": REPOSITORY}, is_form=True),
    ),
    "gogs": Case(
        sender="gogs",
        proof=hmac_of_payload("X-Gogs-Signature"),
        push=gitea("Gogs", "push", PUSH),
        unknown=gitea("Gogs", "fork", {"repository": REPOSITORY}),
    ),
    "bitbucket": Case(
        sender="bitbucket",
        proof=hmac_in("X-Hub-Signature", "sha256="),
        push=bitbucket("repo:push", push={"changes": [{"new": {"type": "tag", "name": "v1.3.0"}}]}),
        unknown=bitbucket("issue:created"),
        ping=Sent(body={"test": True}, headers={"X-Event-Key": "diagnostics:ping"}),
    ),
    "dockerhub": Case(
        sender="dockerhub",
        proof=in_query,
        push=Sent(body=DOCKER_HUB),
        unknown=Sent(body={"state": "success"}),
    ),
    "quay": Case(
        sender="quay",
        proof=in_query,
        push=Sent(body=QUAY),
        unknown=Sent(body={"build_id": "296ec063", "docker_url": f"quay.io/acme/{NAME}"}),
    ),
    "harbor": Case(
        sender="harbor",
        proof=secret_in("Authorization"),
        push=Sent(body=HARBOR),
        unknown=Sent(body={**HARBOR, "type": "SCANNING_COMPLETED"}),
        ping=Sent(body={**HARBOR, "type": "TEST_ENDPOINT"}),
    ),
    "harbor cloudevents": Case(
        sender="harbor",
        proof=secret_in("Authorization", "Bearer "),
        push=cloud_event(type="harbor.artifact.pushed", data=HARBOR_DATA),
        unknown=cloud_event(type="harbor.scan.completed", data={}),
    ),
    "oci": Case(
        sender="oci",
        proof=secret_in("Authorization", "Bearer "),
        push=Sent(
            body={"events": [OCI_EVENT]},
            content_type="application/vnd.docker.distribution.events.v2+json",
        ),
        unknown=Sent(body={"events": [{**OCI_EVENT, "action": "pull"}]}),
    ),
    "cloudevents": Case(
        sender="cloudevents",
        proof=secret_in("Authorization", "Bearer "),
        push=cloud_event(),
        unknown=cloud_event(type="dev.cdevents.build.started.0.2.0"),
    ),
    "cloudevents binary": Case(
        sender="cloudevents",
        proof=secret_in("Authorization", "Bearer "),
        push=Sent(body={"a": 1}, headers=CE_HEADERS),
        unknown=Sent(body={"a": 1}, headers={**CE_HEADERS, "ce-type": "com.example.read"}),
    ),
    "cloudevents batch": Case(
        sender="cloudevents",
        proof=secret_in("Authorization", "Bearer "),
        push=batch({}),
        unknown=batch({"type": "com.example.read"}, {"type": "com.example.written"}),
    ),
    "cloudevents query": Case(
        sender="cloudevents",
        proof=in_query,
        push=cloud_event(type="Microsoft.ContainerRegistry.ImagePushed", data=OCI_EVENT),
        unknown=cloud_event(type="com.example.pulled"),
    ),
}
EVERY_CASE = pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))


def send(client: APIClient, sender: str, sent: Sent, proof: Headers | None = None) -> Any:
    proof = dict(proof or {})
    query = f"?access_token={proof.pop('?')}" if "?" in proof else ""
    return client.generic(
        "POST",
        f"/api/v1/webhooks/from/{sender}/{NAME}{query}",
        sent.raw.decode(),
        content_type="application/x-www-form-urlencoded" if sent.is_form else sent.content_type,
        headers={**sent.headers, **proof},
    )


@pytest.fixture
def api() -> APIClient:
    return CommittingClient(SERVER_NAME="localhost")


def configure(secret: str | None) -> None:
    staff = accounts.staff("root")
    operations.configure(NAME, endpoints=None, secret=secret, by=staff, now=timezone.now())


@pytest.fixture
def service(settings: Settings) -> Service:
    """A service with an owner, a secret and a source that no sender describes."""
    settings.SAGA_AUTH = "required"
    account = accounts.ensure_account("owner", scopes=["updates:deploy"])
    service = factories.ServiceFactory.create(name=NAME, version="1.0.0", account=account)
    factories.SourceFactory.create(service=service, kind="json", location="https://ci.example/x")
    configure(SECRET)
    return service


def is_check_due() -> bool:
    due_at = Source.objects.get().next_check_at
    return due_at is not None and due_at <= timezone.now()


# --- What every sender keeps ----------------------------------------------------------------------


def test_every_sender_has_a_case() -> None:
    assert {case.sender for case in CASES.values()} == set(SENDERS)


@EVERY_CASE
def test_a_push_with_the_right_proof_has_the_source_asked(
    api: APIClient,
    service: Service,
    celery_messages: list[Any],
    case: Case,
) -> None:
    answer = send(api, case.sender, case.push, case.proof(case.push, SECRET))

    assert (answer.status_code, answer.json()["status"]) == (202, "accepted"), answer.content
    assert answer.json()["service_name"] == NAME
    assert is_check_due()
    assert celery_messages == [("updates.check", [service.pk])]
    row = InboundCall.objects.get()
    assert (row.route, row.verdict) == (f"from/{case.sender}", "accepted")
    assert SECRET not in json.dumps([row.headers, row.body, row.answer])


@EVERY_CASE
def test_a_push_without_the_right_proof_is_refused(
    api: APIClient,
    service: Service,
    case: Case,
) -> None:
    wrong = send(api, case.sender, case.push, case.proof(case.push, "another secret, a wrong one"))
    missing = send(api, case.sender, case.push)

    assert (wrong.status_code, missing.status_code) == (401, 401)
    assert wrong.json()["error"] == "Invalid signature"
    assert not is_check_due()


@EVERY_CASE
def test_pings_and_unknown_events_are_ignored_with_the_reason(
    api: APIClient,
    service: Service,
    case: Case,
) -> None:
    for sent in filter(None, [case.ping, case.unknown]):
        headers = {name: value.replace("msg_1", "msg_2") for name, value in sent.headers.items()}
        answer = send(
            api, case.sender, dataclasses.replace(sent, headers=headers), case.proof(sent, SECRET)
        )

        assert (answer.status_code, answer.json()["status"]) == (202, "ignored"), answer.content
        assert answer.json()["message"]
    assert not is_check_due()


def test_a_push_leads_to_a_check_of_the_source(
    api: APIClient,
    service: Service,
    celery_messages: list[Any],
    httpserver: HTTPServer,
) -> None:
    httpserver.expect_oneshot_request("/x").respond_with_json({"latest": "1.4.0"})
    Source.objects.update(
        location=httpserver.url_for("/x"), options={"pointers": {"version": "/latest"}}
    )
    case = CASES["github"]

    send(api, "github", case.push, case.proof(case.push, SECRET))
    ((task, arguments),) = celery_messages
    tasks.check(*arguments)

    assert task == tasks.check.name
    assert Release.objects.get().version == "1.4.0"


def test_an_unknown_sender_is_answered_with_those_that_are_known(api: APIClient) -> None:
    answer = api.post(f"/api/v1/webhooks/from/sourceforge/{NAME}", {}, format="json")

    assert (answer.status_code, answer.json()["error"]) == (404, "Sender not found")
    assert all(name in answer.json()["message"] for name in SENDERS)


def test_a_push_for_an_unknown_service_is_not_found(api: APIClient) -> None:
    assert send(api, "github", CASES["github"].push).status_code == 404
    assert not Service.objects.exists()


def test_a_secret_of_another_sender_is_no_proof(api: APIClient, service: Service) -> None:
    for proof in ({"X-Gitlab-Token": SECRET}, {"?": urllib.parse.quote(SECRET)}):
        assert send(api, "github", CASES["github"].push, proof).status_code == 401
    bare = {**PUSH, "webhook_secret": SECRET}
    assert send(api, "github", github("push", bare)).status_code == 401


def test_a_token_of_the_owner_does_not_stand_for_the_secret(
    api: APIClient,
    service: Service,
    bearer: Bearer,
) -> None:
    """As on the other routes: once the service has a secret, calls must show it."""
    headers = bearer("updates:deploy", account="owner")

    assert send(api, "harbor", CASES["harbor"].push, headers).status_code == 401


def test_without_a_secret_an_owned_service_takes_its_owners_token(
    api: APIClient,
    service: Service,
    bearer: Bearer,
) -> None:
    configure(None)
    push = CASES["harbor"].push

    answers = [
        send(api, "harbor", push, {}).status_code,
        send(api, "harbor", push, bearer("updates:deploy", account="other")).status_code,
        send(api, "harbor", push, bearer("updates:deploy", account="owner")).status_code,
    ]

    assert answers == [401, 403, 202]


# --- One message acts once ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "id_headers"),
    [
        ("github", {"X-GitHub-Delivery": "72d3162e-cc78-11e3-81ab-4c9367dc0958"}),
        ("gitlab token", {"Idempotency-Key": "f5e5f430-f57b-4e6e-9fac-d9128cd7232f"}),
        ("gitlab signing token", {}),
        ("gitea", {"X-Gitea-Delivery": "f6266f16-1bf3-46a5-9ea4-602e06ead473"}),
        ("bitbucket", {"X-Request-UUID": "2ec79f1b-ad4e-4ac5-b5bb-e4ffe3a1ce2f"}),
        ("dockerhub", {}),
        ("harbor", {}),
        ("oci", {}),
        ("cloudevents", {}),
    ],
)
def test_a_message_that_is_sent_again_acts_once(
    api: APIClient,
    service: Service,
    celery_messages: list[Any],
    name: str,
    id_headers: Headers,
) -> None:
    case = CASES[name]
    push = dataclasses.replace(case.push, headers={**case.push.headers, **id_headers})

    first, again = (send(api, case.sender, push, case.proof(push, SECRET)) for _ in range(2))

    assert (first.status_code, again.status_code) == (202, 202)
    assert first.content == again.content
    assert len(celery_messages) == 1


def test_an_answer_is_not_given_to_a_call_with_the_same_key_and_no_proof(
    api: APIClient,
    service: Service,
) -> None:
    case = CASES["gitlab token"]
    keyed = dataclasses.replace(
        case.push, headers={**case.push.headers, "Idempotency-Key": "key-1"}
    )

    assert send(api, "gitlab", keyed, case.proof(keyed, SECRET)).status_code == 202
    assert send(api, "gitlab", keyed).status_code == 401


def test_a_captured_body_is_refused_on_another_route(api: APIClient, service: Service) -> None:
    case = CASES["github form"]
    proof = case.proof(case.push, SECRET)

    assert send(api, "github", case.push, proof).status_code == 202
    assert send(api, "ghcr", case.push, proof).status_code == 409


@pytest.mark.parametrize(
    "name", ["github form", "harbor", "cloudevents", "cloudevents binary", "cloudevents batch"]
)
def test_a_call_can_be_replayed(
    api: APIClient,
    service: Service,
    celery_messages: list[Any],
    name: str,
) -> None:
    case = CASES[name]
    send(api, case.sender, case.push, case.proof(case.push, SECRET))
    person = inbound.Person("otto", lambda permission: permission == "updates.add_job")

    answer = inbound.replay_call(InboundCall.objects.get().pk, by=person, now=timezone.now())

    assert answer.body["status"] == "accepted"


# --- Releases -------------------------------------------------------------------------------------


def source_of(kind: str, location: str, **options: str) -> None:
    Source.objects.update(kind=kind, location=location, options=options)


def github_release(**fields: Any) -> Sent:
    asset = {"name": "app.tar.gz", "browser_download_url": "https://dl.example/app.tar.gz"}
    release = {
        "tag_name": "v1.3.0",
        "draft": False,
        "prerelease": False,
        "published_at": "2026-02-01T10:00:00Z",
        "assets": [{**asset, "digest": DIGEST}],
        **fields,
    }
    return github("release", {"action": "published", "release": release, "repository": REPOSITORY})


def deliver(client: APIClient, name: str, sent: Sent) -> Fields:
    case = CASES[name]
    answer = send(client, case.sender, sent, case.proof(sent, SECRET))
    assert answer.status_code == 202, answer.content
    return dict(answer.json())


def test_github_release_is_recorded_by_the_rules_of_the_source(
    api: APIClient,
    service: Service,
) -> None:
    source_of("github", f"acme/{NAME}", tag_prefix="v")

    first = deliver(api, "github", github_release(prerelease=True))
    foreign = deliver(api, "github", github_release(tag_name="zeta-2.0.0"))

    assert (first["status"], first["version"], foreign["status"]) == (
        "accepted",
        "1.3.0",
        "ignored",
    )
    release = Release.objects.get()
    assert (release.is_prerelease, release.checksum) == (True, DIGEST)
    assert release.artifact_url == "https://dl.example/app.tar.gz"


def test_another_repository_than_the_sources_is_ignored(api: APIClient, service: Service) -> None:
    source_of("github", f"acme/not-{NAME}")

    answers = [deliver(api, "github", sent) for sent in (github_release(), github("push", PUSH))]

    assert [answer["status"] for answer in answers] == ["ignored", "ignored"]
    assert f"acme/{NAME}" in answers[0]["message"]
    assert not Release.objects.exists()
    assert not is_check_due()


def test_a_release_beside_a_source_of_another_kind_has_that_source_asked(
    api: APIClient,
    service: Service,
) -> None:
    source_of("pypi", NAME)

    answer = deliver(api, "github", github_release())

    assert answer["status"] == "accepted"
    assert is_check_due()
    assert not Release.objects.exists()


def test_gitlab_release_is_recorded(api: APIClient, service: Service) -> None:
    source_of("gitlab", f"acme/{NAME}", asset="*.tar.gz")
    links = [
        {
            "id": 1,
            "name": "app.tar.gz",
            "url": "https://dl.example/app.tar.gz",
            "link_type": "other",
        }
    ]
    sent = gitlab(
        "Release Hook",
        "release",
        action="create",
        tag="v1.3.0",
        name="v1.3.0",
        description="What changed.",
        released_at="2026-02-01 10:00:00 UTC",
        assets={
            "count": 1,
            "links": links,
            "sources": [{"format": "zip", "url": "https://x.example/z"}],
        },
    )
    gone = dataclasses.replace(sent, body={**sent.body, "action": "delete"})

    assert deliver(api, "gitlab token", sent)["version"] == "1.3.0"
    release = Release.objects.get()
    deliver(api, "gitlab token", gone)

    assert (release.artifact_url, release.notes) == (
        "https://dl.example/app.tar.gz",
        "What changed.",
    )
    assert release.published_at == dt.datetime(2026, 2, 1, 10, tzinfo=dt.UTC)
    assert Release.objects.get().state == "withdrawn"


def test_gitea_release_is_recorded(api: APIClient, service: Service) -> None:
    source_of("gitea", f"acme/{NAME}")
    assets = [
        {
            "id": 1,
            "name": "app.tar.gz",
            "size": 7,
            "browser_download_url": "https://dl.example/a.tar.gz",
        }
    ]
    release = {"tag_name": "v1.3.0", "draft": False, "prerelease": False, "assets": assets}
    body = {"action": "published", "release": release, "repository": REPOSITORY}

    answer = deliver(api, "gitea", gitea("Gitea", "release", body))

    assert answer["version"] == "1.3.0"
    assert Release.objects.get().size_bytes == 7


@pytest.mark.parametrize(
    ("name", "location", "sent"),
    [
        (
            "dockerhub",
            f"acme/{NAME}",
            Sent(body={**DOCKER_HUB, "push_data": {"pushed_at": 1, "tag": "1.3.0"}}),
        ),
        ("quay", f"quay.io/acme/{NAME}", Sent(body={**QUAY, "updated_tags": ["latest", "1.3.0"]})),
        (
            "oci",
            f"registry.example/acme/{NAME}",
            Sent(
                body={"events": [{**OCI_EVENT, "target": {**OCI_EVENT["target"], "tag": "1.3.0"}}]}
            ),
        ),
        (
            "harbor",
            f"harbor.example/acme/{NAME}",
            Sent(
                body={
                    **HARBOR,
                    "event_data": {
                        "resources": [
                            {
                                "digest": DIGEST,
                                "tag": "1.3.0",
                                "resource_url": f"harbor.example/acme/{NAME}:1.3.0",
                            }
                        ]
                    },
                }
            ),
        ),
    ],
)
def test_a_pushed_image_is_recorded(
    api: APIClient,
    service: Service,
    name: str,
    location: str,
    sent: Sent,
) -> None:
    source_of("oci", location)

    assert deliver(api, name, sent)["version"] == "1.3.0"
    release = Release.objects.get()
    assert release.artifact_type == "image"
    assert release.artifact_url.removeprefix("docker.io/") == f"{location}:1.3.0"


def test_a_webhook_for_many_repositories_records_no_foreign_image(
    api: APIClient,
    service: Service,
) -> None:
    Source.objects.all().delete()
    target = {**OCI_EVENT["target"], "repository": "acme/other", "tag": "1.3.0"}

    answer = deliver(api, "oci", Sent(body={"events": [{**OCI_EVENT, "target": target}]}))

    assert (answer["status"], Release.objects.exists()) == ("ignored", False)


def test_a_cloud_event_with_a_release_in_it_is_an_announcement(
    api: APIClient,
    service: Service,
) -> None:
    data = {"version": "1.3.0", "artifact_url": "https://dl.example/app.tar.gz", "checksum": DIGEST}

    answer = deliver(api, "cloudevents", cloud_event(type="com.example.app.released", data=data))

    assert answer["version"] == "1.3.0"
    assert Release.objects.get().checksum == DIGEST


# --- CloudEvents ----------------------------------------------------------------------------------


def test_binary_and_structured_events_are_the_same_message(
    api: APIClient,
    service: Service,
    celery_messages: list[Any],
) -> None:
    names = ("specversion", "id", "source", "type", "time")
    headers = {f"ce-{name}": str(CLOUD_EVENT[name]) for name in names}
    binary = Sent(body=dict(CLOUD_EVENT["data"]), headers=headers)

    answers = [deliver(api, "cloudevents", sent) for sent in (cloud_event(), binary)]

    assert answers[0] == answers[1]
    assert len(celery_messages) == 1


def test_binary_event_without_json_is_taken(api: APIClient, service: Service) -> None:
    answer = api.generic(
        "POST",
        f"/api/v1/webhooks/from/cloudevents/{NAME}",
        "<released/>",
        content_type="application/xml",
        headers={**CE_HEADERS, "Authorization": f"Bearer {SECRET}"},
    )

    assert (answer.status_code, answer.json()["status"]) == (202, "accepted")


def released(version: str) -> Fields:
    data = {"version": version, "artifact_url": f"https://dl.example/{version}.tar.gz"}
    return {"id": version, "type": "com.example.app.released", "data": data}


def test_the_events_of_a_batch_count_one_by_one(
    api: APIClient, service: Service, celery_messages: list[Any]
) -> None:
    sent = batch(released("1.3.0"), {"type": "com.example.read"}, released("1.4.0"), {})

    answer, again = deliver(api, "cloudevents", sent), deliver(api, "cloudevents", sent)

    assert (answer["status"], answer) == ("accepted", again)
    assert answer["message"].startswith("3 of 4 events count")
    assert sorted(Release.objects.values_list("version", flat=True)) == ["1.3.0", "1.4.0"]
    assert is_check_due()


def test_a_batch_acts_whole_or_not_at_all(api: APIClient, service: Service) -> None:
    wrong = released("1.4.0") | {"data": {"version": "1.4.0", "artifact_url": "file:///etc/passwd"}}
    proof = {"Authorization": f"Bearer {SECRET}"}

    answer = send(api, "cloudevents", batch(released("1.3.0"), wrong), proof)

    assert answer.status_code == 400
    assert not Release.objects.exists()


def test_an_empty_batch_is_ignored(api: APIClient, service: Service) -> None:
    assert deliver(api, "cloudevents", batch())["status"] == "ignored"


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (Sent(body={"type": "com.example.pushed"}), 400),
        (cloud_event(specversion="0.3"), 400),
        (batch({"specversion": "0.3"}), 400),
        (Sent(body={}, content_type="application/cloudevents-batch+json"), 400),
        (Sent(body=[], content_type="application/cloudevents+json"), 400),
        (Sent(body={}, content_type="text/plain"), 415),
    ],
)
def test_what_is_no_cloud_event_is_refused(
    api: APIClient,
    service: Service,
    sent: Sent,
    status: int,
) -> None:
    assert (
        send(api, "cloudevents", sent, {"Authorization": f"Bearer {SECRET}"}).status_code == status
    )


def test_the_handshake_of_cloud_events_allows_the_origin(
    api: APIClient, settings: Settings
) -> None:
    settings.SAGA_AUTH = "required"
    asked = {"WebHook-Request-Origin": "eventemitter.example.com", "WebHook-Request-Rate": "120"}

    answer = api.options(f"/api/v1/webhooks/from/cloudevents/{NAME}", headers=asked)
    other = api.options(f"/api/v1/webhooks/from/github/{NAME}", headers=asked)

    assert (answer.status_code, answer["WebHook-Allowed-Origin"]) == (
        200,
        "eventemitter.example.com",
    )
    assert answer["WebHook-Allowed-Rate"] == "*"
    assert "POST" in answer["Allow"]
    assert "WebHook-Allowed-Origin" not in other
