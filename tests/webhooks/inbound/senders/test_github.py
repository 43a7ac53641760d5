"""GitHub's own payloads."""

from __future__ import annotations

from typing import Any

import pytest

from webhooks.inbound.senders import github

REPOSITORY = {"repository": {"name": "payment-service"}}


def read(event: str, document: dict[str, Any]) -> dict[str, Any]:
    return github.read({"x-github-event": event}, {**REPOSITORY, **document})


def test_a_published_release_is_an_announcement() -> None:
    asset = {"browser_download_url": "https://github.com/a.tar.gz", "digest": "sha256:ab"}
    body = {"action": "published", "release": {"tag_name": "v1.3.0", "assets": [asset]}}

    assert read("release", body) == {
        "service_name": "payment-service",
        "version": "1.3.0",
        "artifact_url": "https://github.com/a.tar.gz",
        "artifact_type": "binary",
        "checksum": "sha256:ab",
    }


def test_a_release_without_assets_is_its_tarball() -> None:
    body = {"action": "published", "release": {"tag_name": "1.3.0", "tarball_url": "https://x/1"}}

    fields = read("release", body)

    assert (fields["artifact_url"], fields["artifact_type"]) == ("https://x/1", "archive")


@pytest.mark.parametrize(
    ("event", "document"),
    [
        ("ping", {"zen": "Keep it logically awesome."}),
        ("push", {"ref": "refs/heads/main"}),
        ("release", {"action": "created", "release": {}}),
        ("release", {"action": "published", "release": None}),
        ("release", {"action": "published"}),
    ],
)
def test_everything_else_is_none_of_our_business(event: str, document: dict[str, Any]) -> None:
    assert github.IGNORED in read(event, document)


@pytest.mark.parametrize("tag", ["version-1", "v", "V1", "vnext"])
def test_only_a_v_before_a_digit_is_taken_off(tag: str) -> None:
    fields = read("release", {"action": "published", "release": {"tag_name": tag}})

    assert fields["version"] == tag


@pytest.mark.parametrize("assets", [None, {}, [], ["x"], [None], [{}]])
def test_strange_assets_are_no_error(assets: Any) -> None:
    release = {"tag_name": "v1", "assets": assets}

    assert read("release", {"action": "published", "release": release})["version"] == "1"


def test_our_own_body_beside_githubs_header_is_ours() -> None:
    assert not github.is_native({"x-github-event": "release"}, {"service_name": "a"})
