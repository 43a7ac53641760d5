"""GitLab's and Gitea's releases, in the shapes that their APIs send."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from pytest_httpserver import HTTPServer

from tests.updates.releases.sources import imitations
from updates.errors import SourceUnavailable
from updates.releases import sources

GITLAB_PATH = "/api/v4/projects/acme/backend/payment/releases"
GITEA_PATH = "/api/v1/repos/acme/payment/releases"


def _ask(server: HTTPServer, kind: str, **fields: Any) -> tuple[sources.Found, ...]:
    location = "acme/backend/payment" if kind == "gitlab" else "acme/payment"
    given = {"location": location, "base_url": server.url_for("").rstrip("/")}
    found = sources.ASK[kind](sources.Query(**{**given, **fields})).found
    assert found is not None
    return found


def _gitlab_release(tag: str, *names: str, **fields: Any) -> dict[str, Any]:
    links = [
        {"id": 1, "name": name, "url": f"https://x.example/{name}", "link_type": "package"}
        for name in names
    ]
    release = {
        "tag_name": tag,
        "name": tag,
        "description": "What changed.",
        "created_at": "2026-01-31T09:00:00.000Z",
        "released_at": "2026-02-01T10:00:00.000Z",
        "upcoming_release": False,
        "assets": {
            "count": 4,
            "sources": [{"format": "zip", "url": "https://x/s"}],
            "links": links,
        },
    }
    return {**release, **fields}


def test_gitlab_releases_are_read_with_their_link(httpserver: HTTPServer) -> None:
    releases = [
        _gitlab_release("v2.0.0", "app.tar.gz", upcoming_release=True),
        _gitlab_release("v1.3.0", "checksums.txt", "app.tar.gz"),
        _gitlab_release("v1.2.0"),
        _gitlab_release("v1.1.0", "app_linux.tar.gz", "app_darwin.tar.gz"),
    ]
    httpserver.expect_request(
        GITLAB_PATH, headers={"Authorization": "Bearer glpat-1"}
    ).respond_with_json(releases)

    newest, bare, several = _ask(httpserver, "gitlab", token="glpat-1")

    assert (newest.version, newest.artifact_url) == ("1.3.0", "https://x.example/app.tar.gz")
    assert newest.published_at == dt.datetime(2026, 2, 1, 10, tzinfo=dt.UTC)
    assert (bare.artifact_url, bare.artifact_problem) == ("", "")
    assert "app_linux.tar.gz, app_darwin.tar.gz" in several.artifact_problem


def test_gitea_describes_releases_as_github_does(httpserver: HTTPServer) -> None:
    releases = [imitations.github_release("v1.3.0"), imitations.github_release("v2", draft=True)]
    httpserver.expect_request(GITEA_PATH).respond_with_json(releases)

    (only,) = _ask(httpserver, "gitea")

    assert (only.version, only.size_bytes) == ("1.3.0", 1048576)


@pytest.mark.parametrize("kind", ["gitlab", "gitea"])
@pytest.mark.parametrize("location", ["", "payment", "../../etc", "a b/c", "x/y?z=1"])
def test_a_location_that_is_none_is_refused_without_a_call(
    httpserver: HTTPServer, kind: str, location: str
) -> None:
    with pytest.raises(SourceUnavailable, match="location must be"):
        _ask(httpserver, kind, location=location)

    assert not httpserver.log


def test_gitea_needs_the_server(httpserver: HTTPServer) -> None:
    with pytest.raises(SourceUnavailable, match="base URL"):
        _ask(httpserver, "gitea", base_url="")
