"""GitHub's own payloads: what they announce, change and withdraw, by the rules of the service's source."""

from __future__ import annotations

import hashlib
import hmac
import json
import urllib.parse
from typing import Any

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from registry.models import Event
from tests import factories
from updates import operations
from updates.models import Job, Release
from webhooks.inbound.senders import github

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis")]

NAME = "payment-service"
DIGEST = "sha256:" + "ab" * 32
REPOSITORY = {"name": NAME, "full_name": f"acme/{NAME}"}
Fields = dict[str, Any]


def _asset(name: str = "payment_linux_amd64.tar.gz", **fields: Any) -> Fields:
    url = f"https://github.example/acme/{NAME}/releases/download/{name}"
    return {"name": name, "browser_download_url": url, "digest": DIGEST, "size": 7, **fields}


def _release(tag: str = "v1.3.0", *names: str, **fields: Any) -> Fields:
    release = {
        "tag_name": tag,
        "draft": False,
        "prerelease": False,
        "published_at": "2026-02-01T10:00:00Z",
        "body": "What changed.",
        "tarball_url": "https://api.github.example/tarball/v1",
        "assets": [_asset(name) for name in names] if names else [_asset()],
    }
    return {**release, **fields}


def _send(api: APIClient, action: str, release: Fields, **fields: Any) -> Fields:
    body = {"action": action, "release": release, "repository": REPOSITORY, **fields}
    answer = api.post(
        "/api/v1/webhooks/update", body, format="json", headers={"X-GitHub-Event": "release"}
    )
    assert answer.status_code == 202, answer.content
    return dict(answer.json())


def _plan(api: APIClient) -> Fields:
    return dict(api.get(f"/api/v1/updates/plan?service={NAME}").json())


def _policy(**fields: Any) -> None:
    service = factories.ServiceFactory.create(name=NAME, version="1.0.0")
    factories.PolicyFactory.create(service=service, **{"kind": "auto", **fields})


def _source(**options: Any) -> None:
    service = factories.ServiceFactory.create(name=NAME, version="1.0.0")
    factories.PolicyFactory.create(service=service, kind="auto")
    factories.SourceFactory.create(
        service=service, kind="github", location=f"acme/{NAME}", options=options
    )


def test_a_published_release_is_an_announcement(api: APIClient) -> None:
    answer = _send(api, "published", _release())

    assert (answer["status"], answer["service_name"], answer["version"]) == (
        "accepted",
        NAME,
        "1.3.0",
    )
    release = Release.objects.get()
    assert (release.version, release.checksum, release.size_bytes) == ("1.3.0", DIGEST, 7)
    assert release.artifact_url.endswith("/payment_linux_amd64.tar.gz")
    assert (release.notes, str(release.published_at)) == (
        "What changed.",
        "2026-02-01 10:00:00+00:00",
    )
    assert Event.objects.filter(type="release.announced").count() == 1


def test_a_prerelease_is_not_deployed_until_it_is_promoted(api: APIClient) -> None:
    _policy()

    _send(api, "published", _release(prerelease=True))
    before = _plan(api)
    operations.apply_policies(now=timezone.now())
    jobs_before = Job.objects.count()
    _send(api, "released", _release())
    after = _plan(api)

    assert (before["action"], before["reason"]) == ("none", "1.3.0: It is a pre-release.")
    assert jobs_before == 0
    assert (after["action"], after["version"]) == ("deploy", "1.3.0")


def test_a_release_that_becomes_a_prerelease_again_is_not_eligible(api: APIClient) -> None:
    _policy()
    _send(api, "published", _release())

    _send(api, "edited", _release(prerelease=True))

    assert _plan(api)["reason"] == "1.3.0: It is a pre-release."


@pytest.mark.parametrize("action", ["deleted", "unpublished"])
def test_missing_release_is_withdrawn_and_may_return(api: APIClient, action: str) -> None:
    _policy()
    _send(api, "published", _release())

    answer = _send(api, action, _release())
    state = Release.objects.get().state
    _send(api, "published", _release())

    assert (answer["status"], state) == ("accepted", "withdrawn")
    assert Release.objects.get().state == "available"


def test_a_release_without_assets_waits_for_them(api: APIClient) -> None:
    _policy()

    _send(api, "published", _release(assets=[]))
    before = _plan(api)
    _send(api, "edited", _release())

    assert Release.objects.get().artifact_url.endswith("amd64.tar.gz")
    assert (before["action"], before["reason"]) == (
        "none",
        "1.3.0: Its source names no artifact to install.",
    )
    assert _plan(api)["action"] == "deploy"


def test_an_asset_that_is_still_being_uploaded_is_none_yet(api: APIClient) -> None:
    _send(api, "published", _release(assets=[_asset(state="starter")]))

    assert Release.objects.get().artifact_url == ""


@pytest.mark.parametrize(
    "names",
    [
        ("payment_1.3.0_checksums.txt", "payment_1.3.0_linux_amd64.tar.gz"),
        ("SHA256SUMS", "payment_1.3.0_linux_amd64.tar.gz"),
        ("payment_1.3.0_linux_amd64.tar.gz.sha256", "payment_1.3.0_linux_amd64.tar.gz"),
        ("payment.sbom.json", "payment.sig", "payment_1.3.0_linux_amd64.tar.gz"),
    ],
)
def test_what_accompanies_a_file_is_not_deployed(api: APIClient, names: tuple[str, ...]) -> None:
    _send(api, "published", _release("v1.3.0", *names))

    assert Release.objects.get().artifact_url.endswith("/payment_1.3.0_linux_amd64.tar.gz")


def test_of_several_platforms_none_is_guessed(api: APIClient) -> None:
    _policy()

    _send(api, "published", _release("v1.3.0", "app_darwin_arm64.tar.gz", "app_linux_amd64.tar.gz"))

    (evaluation,) = _plan(api)["releases"]
    assert not evaluation["is_eligible"]
    assert "app_darwin_arm64.tar.gz, app_linux_amd64.tar.gz" in evaluation["reason"]
    assert Release.objects.get().artifact_url == ""


def test_the_sources_asset_and_prefix_count_for_the_webhook(api: APIClient) -> None:
    _source(asset="*linux_amd64.tar.gz", tag_prefix="h13-")

    answer = _send(
        api,
        "published",
        _release("h13-v1.3.0", "app_darwin_arm64.tar.gz", "app_linux_amd64.tar.gz"),
    )

    assert answer["version"] == "1.3.0"
    assert Release.objects.get().artifact_url.endswith("/app_linux_amd64.tar.gz")


def test_a_tag_of_another_package_is_ignored(api: APIClient) -> None:
    _source(tag_prefix="payment-")

    answer = _send(api, "published", _release("zeta-v2.0.0"))

    assert answer["status"] == "ignored"
    assert "no version of this service" in answer["message"]
    assert not Release.objects.exists()


def test_without_a_prefix_another_package_is_never_installed_over_this_one(api: APIClient) -> None:
    service = factories.ServiceFactory.create(name=NAME, version="payment-v1.0.0")
    factories.PolicyFactory.create(service=service, kind="auto")

    _send(api, "published", _release("zeta-v2.0.0"))
    operations.apply_policies(now=timezone.now())

    assert _plan(api)["action"] == "none"
    assert not Job.objects.exists()


def test_another_repository_of_the_same_name_is_ignored(api: APIClient) -> None:
    _source()
    foreign = {"name": NAME, "full_name": f"mallory/{NAME}"}

    answer = _send(api, "published", _release(), repository=foreign)

    assert answer["status"] == "ignored"
    assert f"mallory/{NAME}" in answer["message"]
    assert not Release.objects.exists()


def test_a_draft_is_ignored(api: APIClient) -> None:
    assert _send(api, "created", _release(draft=True))["status"] == "ignored"

    assert not Release.objects.exists()


def test_the_minimum_age_counts_from_githubs_time(api: APIClient) -> None:
    _policy(minimum_age_seconds=86400)

    _send(api, "published", _release())

    assert _plan(api)["action"] == "deploy"


@pytest.mark.parametrize("assets", [None, {}, ["x"], [None], [{}], [{"name": 7}]])
def test_strange_assets_are_no_error(api: APIClient, assets: Any) -> None:
    _send(api, "published", _release(assets=assets))

    assert Release.objects.get().artifact_url == ""


# --- Other events and forms -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("event", "body"),
    [
        ("ping", {"zen": "Keep it logically awesome.", "repository": REPOSITORY}),
        ("ping", {"zen": "Keep it logically awesome.", "organization": {"login": "acme"}}),
        ("membership", {"action": "added", "organization": {"login": "acme"}}),
        ("push", {"ref": "refs/heads/main", "repository": REPOSITORY}),
        ("release", {"action": "published", "release": None, "repository": REPOSITORY}),
        ("release", {"action": "published", "repository": REPOSITORY}),
        ("package", {"action": "published", "package": None, "repository": REPOSITORY}),
    ],
)
def test_what_announces_nothing_is_ignored_with_the_reason(
    api: APIClient, event: str, body: Fields
) -> None:
    answer = api.post(
        "/api/v1/webhooks/update", body, format="json", headers={"X-GitHub-Event": event}
    )

    assert (answer.status_code, answer.json()["status"]) == (202, "ignored")
    assert event in answer.json()["message"]


@pytest.mark.parametrize("event", ["package", "registry_package"])
def test_an_image_that_was_pushed_to_ghcr_is_announced(api: APIClient, event: str) -> None:
    version = {
        "version": DIGEST,
        "package_url": f"ghcr.io/acme/{NAME}:1.4.0",
        "container_metadata": {"tag": {"name": "1.4.0", "digest": DIGEST}},
    }
    package = {"name": NAME, "package_type": "CONTAINER", "package_version": version}
    body = {"action": "published", event: package, "repository": REPOSITORY}

    answer = api.post(
        "/api/v1/webhooks/update", body, format="json", headers={"X-GitHub-Event": event}
    )

    assert (answer.status_code, answer.json()["version"]) == (202, "1.4.0")
    release = Release.objects.get()
    assert (release.artifact_url, release.artifact_type) == (f"ghcr.io/acme/{NAME}:1.4.0", "image")
    assert release.checksum == DIGEST


def _post_form(api: APIClient, raw: str, **headers: str) -> Any:
    return api.generic(
        "POST",
        "/api/v1/webhooks/update",
        raw,
        content_type="application/x-www-form-urlencoded",
        headers={"X-GitHub-Event": "release", **headers},
    )


def test_a_form_body_is_accepted_and_its_signature_counts(api: APIClient) -> None:
    config = {"service_name": NAME, "secret": "it's a long secret"}
    assert api.post("/api/v1/webhooks/config", config, format="json").status_code == 200
    body = {"action": "published", "release": _release(body="ü €"), "repository": REPOSITORY}
    raw = urllib.parse.urlencode({"payload": json.dumps(body)})
    signature = hmac.new(b"it's a long secret", raw.encode(), hashlib.sha256).hexdigest()

    refused = _post_form(api, raw, **{"X-Hub-Signature-256": "sha256=" + "0" * 64})
    accepted = _post_form(api, raw, **{"X-Hub-Signature-256": f"sha256={signature}"})

    assert (refused.status_code, accepted.status_code) == (401, 202)
    assert Release.objects.get().notes == "ü €"


def test_a_form_that_is_not_githubs_names_the_setting(api: APIClient) -> None:
    answer = _post_form(api, "a=b")

    assert answer.status_code == 400
    assert "application/json" in answer.json()["message"]


def test_our_own_body_beside_githubs_header_is_ours() -> None:
    assert not github.is_native({"x-github-event": "release"}, {"service_name": "a"})
