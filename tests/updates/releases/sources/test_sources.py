"""Each kind of source, against an imitation that answers as the real one does, and against rubbish."""

from __future__ import annotations

import datetime as dt
import hashlib
import threading
import time
from typing import Any

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from tests.updates.releases.sources import imitations
from updates.errors import SourceUnavailable
from updates.releases import sources
from updates.releases.sources import document, exchange, oci

PUBLISHED = dt.datetime(2026, 2, 1, 10, tzinfo=dt.UTC)
LOCATIONS = {
    "github": "acme/payment",
    "pypi": "Acme.Payment",
    "npm": "@acme/payment",
    "oci": "acme/payment",
}
PATHS = {
    "github": "/repos/acme/payment/releases",
    "pypi": "/simple/acme-payment/",
    "npm": "/@acme/payment",
    "oci": "/v2/acme/payment/tags/list",
    "json": "/latest.json",
}


def _query(server: HTTPServer, kind: str, **fields: Any) -> sources.Query:
    base_url = server.url_for("").rstrip("/")
    if kind == "json":
        given = {
            "location": f"{base_url}/latest.json",
            "options": {"pointers": {"version": "/version"}},
        }
    else:
        given = {"location": LOCATIONS[kind], "base_url": base_url}
    return sources.Query(**{**given, **fields})


def _ask(server: HTTPServer, kind: str, **fields: Any) -> tuple[sources.Found, ...]:
    found = sources.ASK[kind](_query(server, kind, **fields)).found
    assert found is not None
    return found


# --- GitHub ---------------------------------------------------------------------------------------


def test_github_releases_are_read_with_their_asset(httpserver: HTTPServer) -> None:
    releases = [imitations.github_release("v1.3.0"), imitations.github_release("v1.10.0")]
    imitations.serve_github(httpserver, releases)

    newest, older = _ask(httpserver, "github")

    assert (newest.version, older.version) == ("1.10.0", "1.3.0")
    assert newest.artifact_url.endswith("/v1.10.0/payment-v1.10.0.tar.gz")
    assert newest.checksum == f"sha256:{imitations.SHA256}"
    assert (newest.size_bytes, newest.published_at) == (1048576, PUBLISHED)
    assert newest.notes == "What changed."


def test_github_drafts_are_left_out_and_prereleases_marked(httpserver: HTTPServer) -> None:
    releases = [
        imitations.github_release("v2.0.0", draft=True),
        imitations.github_release("v1.4.0", prerelease=True),
        imitations.github_release("not a version"),
    ]
    imitations.serve_github(httpserver, releases)

    (only,) = _ask(httpserver, "github")

    assert (only.version, only.is_prerelease) == ("1.4.0", True)


def test_github_tags_of_a_monorepo_are_told_by_their_prefix(httpserver: HTTPServer) -> None:
    releases = [
        imitations.github_release("payment-v1.4.0"),
        imitations.github_release("gateway-v9.0.0"),
    ]
    imitations.serve_github(httpserver, releases)

    found = _ask(httpserver, "github", options={"tag_prefix": "payment-"})

    assert [release.version for release in found] == ["1.4.0"]


def test_github_takes_the_asset_that_the_pattern_names(httpserver: HTTPServer) -> None:
    names = ("payment-arm64.tar.gz", "payment-amd64.tar.gz", "payment-amd64.tar.gz.sig")
    assets = [{"name": name, "browser_download_url": f"https://x.example/{name}"} for name in names]
    imitations.serve_github(httpserver, [imitations.github_release("v1", assets=assets)])

    (only,) = _ask(httpserver, "github", options={"asset": "*-amd64.tar.gz"})

    assert only.artifact_url == "https://x.example/payment-amd64.tar.gz"


def test_github_gets_the_token(httpserver: HTTPServer) -> None:
    httpserver.expect_request(
        PATHS["github"], headers={"Authorization": "Bearer ghp_secret"}
    ).respond_with_json([])

    assert _ask(httpserver, "github", token="ghp_secret") == ()


def test_github_says_when_its_rate_limit_ends(httpserver: HTTPServer) -> None:
    reset = str(int(time.time()) + 1800)
    httpserver.expect_request(PATHS["github"]).respond_with_data(
        "", status=403, headers={"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": reset}
    )

    with pytest.raises(SourceUnavailable, match="limits how often") as caught:
        _ask(httpserver, "github")

    assert caught.value.retry_after_seconds == pytest.approx(1800, abs=5)


# --- PyPI -----------------------------------------------------------------------------------------


def test_pypi_files_are_gathered_by_version(httpserver: HTTPServer) -> None:
    files = [
        imitations.pypi_file(
            "acme_payment-1.3.0.tar.gz", **{"upload-time": "2026-02-01T10:05:00Z"}
        ),
        imitations.pypi_file(
            "acme_payment-1.3.0-py3-none-any.whl", **{"upload-time": "2026-02-01T10:00:00Z"}
        ),
        imitations.pypi_file("acme_payment-1.10.0rc1.tar.gz"),
        imitations.pypi_file("acme_payment-1.3.0.exe"),
    ]
    imitations.serve_pypi(httpserver, files)

    candidate, release = _ask(httpserver, "pypi")

    assert candidate.version == "1.10.0rc1"
    assert release.version == "1.3.0"
    assert release.artifact_url.endswith("acme_payment-1.3.0-py3-none-any.whl")
    assert release.checksum == f"sha256:{imitations.SHA256}"
    assert release.published_at == PUBLISHED


def test_a_yanked_pypi_version_is_withdrawn(httpserver: HTTPServer) -> None:
    files = [
        imitations.pypi_file("acme_payment-1.3.0.tar.gz", yanked="broken"),
        imitations.pypi_file("acme_payment-1.2.0.tar.gz"),
    ]
    imitations.serve_pypi(httpserver, files)

    assert [release.is_withdrawn for release in _ask(httpserver, "pypi")] == [True, False]


# --- npm ------------------------------------------------------------------------------------------


def test_npm_versions_have_time_digest_and_channel(httpserver: HTTPServer) -> None:
    versions = [imitations.npm_version("1.3.0"), imitations.npm_version("2.0.0-beta.1")]
    imitations.serve_npm(httpserver, versions, {"latest": "1.3.0", "next": "2.0.0-beta.1"})

    beta, stable = _ask(httpserver, "npm")

    assert (beta.version, beta.channel) == ("2.0.0-beta.1", "next")
    assert (stable.version, stable.channel, stable.published_at) == ("1.3.0", "", PUBLISHED)
    assert stable.checksum == f"sha512:{hashlib.sha512(b'artifact').hexdigest()}"


def test_a_deprecated_npm_version_is_withdrawn(httpserver: HTTPServer) -> None:
    imitations.serve_npm(httpserver, [imitations.npm_version("1.3.0", deprecated="use 2")], {})

    assert _ask(httpserver, "npm")[0].is_withdrawn


# --- OCI ------------------------------------------------------------------------------------------


def test_oci_tags_are_read_behind_a_challenge_page_by_page(httpserver: HTTPServer) -> None:
    tags = ["1.2.0", "1.3.0", "latest", "v1.10.0", "1.10.0-rc.1"]
    imitations.serve_oci(httpserver, tags, page_size=2)

    found = _ask(httpserver, "oci")

    assert [release.version for release in found] == ["1.10.0", "1.10.0-rc.1", "1.3.0", "1.2.0"]
    assert found[0].artifact_url == "docker.io/acme/payment:v1.10.0"
    assert found[0].checksum == f"sha256:{hashlib.sha256(b'index').hexdigest()}"
    assert found[0].published_at == dt.datetime(2026, 2, 1, 10, 0, 0, 500000, tzinfo=dt.UTC)
    assert found[3].published_at is None


def test_oci_trades_a_password_for_a_token(httpserver: HTTPServer) -> None:
    imitations.serve_oci(httpserver, ["1.2.0"], password="open sesame")

    assert len(_ask(httpserver, "oci", token="robot:open sesame")) == 1
    with pytest.raises(SourceUnavailable, match="refuses our token"):
        _ask(httpserver, "oci")


def test_oci_sends_no_password_in_the_clear_to_another_server(httpserver: HTTPServer) -> None:
    challenge = 'Bearer realm="http://127.0.0.1:1/token",service="x"'
    httpserver.expect_request(PATHS["oci"]).respond_with_data(
        "", status=401, headers={"WWW-Authenticate": challenge}
    )

    with pytest.raises(SourceUnavailable, match="in the clear"):
        _ask(httpserver, "oci", token="robot:secret")


def test_oci_does_not_follow_its_list_to_another_server(httpserver: HTTPServer) -> None:
    link = '<http://127.0.0.1:1/v2/acme/payment/tags/list>; rel="next"'
    httpserver.expect_request(PATHS["oci"]).respond_with_json(
        {"tags": ["1"]}, headers={"Link": link}
    )

    with pytest.raises(SourceUnavailable, match="goes on at another server"):
        _ask(httpserver, "oci")


def test_an_oci_visit_ends_in_time_however_many_calls_it_takes(
    httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(oci, "VISIT_SECONDS", 0.0)
    imitations.serve_oci(httpserver, ["1.2.0"])

    with pytest.raises(SourceUnavailable, match="in time"):
        _ask(httpserver, "oci")


# --- JSON documents -------------------------------------------------------------------------------


def test_a_document_tells_by_pointers(httpserver: HTTPServer) -> None:
    content = {
        "latest": {
            "v": "v1.3.0",
            "file": {"href": "https://x.example/p.tgz", "sha256": "sha256:ab"},
        },
        "when": "2026-02-01T10:00:00Z",
    }
    httpserver.expect_request(PATHS["json"]).respond_with_json(content)
    pointers = {
        "version": "/latest/v",
        "url": "/latest/file/href",
        "checksum": "/latest/file/sha256",
        "published_at": "/when",
    }

    (only,) = _ask(httpserver, "json", options={"pointers": pointers})

    assert only == sources.Found(
        version="1.3.0",
        artifact_url="https://x.example/p.tgz",
        checksum="sha256:ab",
        published_at=PUBLISHED,
    )


def test_a_document_may_hold_a_list(httpserver: HTTPServer) -> None:
    content = [{"name": "1.2.0"}, {"name": "1.10.0"}, {"name": None}]
    httpserver.expect_request(PATHS["json"]).respond_with_json({"all": content})

    found = _ask(httpserver, "json", options={"pointers": {"list": "/all", "version": "/name"}})

    assert [release.version for release in found] == ["1.10.0", "1.2.0"]


@pytest.mark.parametrize(
    ("pointer", "expected"),
    [
        ("", {"a": [{"b/c": 1, "~": 2}]}),
        ("/a/0/b~1c", 1),
        ("/a/0/~0", 2),
        ("/a/9", None),
        ("/a/-", None),
        ("/x/y", None),
    ],
)
def test_pointers_follow_rfc_6901(pointer: str, expected: Any) -> None:
    assert document.follow({"a": [{"b/c": 1, "~": 2}]}, pointer) == expected


@pytest.mark.parametrize(
    "options",
    [{}, {"pointers": []}, {"pointers": {"version": "no slash"}}, {"pointers": {"version": 7}}],
)
def test_a_document_without_a_pointer_is_refused(
    httpserver: HTTPServer, options: dict[str, Any]
) -> None:
    httpserver.expect_request(PATHS["json"]).respond_with_json({"version": "1"})

    with pytest.raises(SourceUnavailable, match="pointer"):
        _ask(httpserver, "json", options=options)


# --- All of them ----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["github", "pypi", "npm", "json"])
def test_what_did_not_change_is_not_sent_again(httpserver: HTTPServer, kind: str) -> None:
    imitations.serve_github(httpserver, [imitations.github_release("v1.3.0")])
    imitations.serve_pypi(httpserver, [imitations.pypi_file("acme_payment-1.3.0.tar.gz")])
    imitations.serve_npm(httpserver, [imitations.npm_version("1.3.0")], {})
    httpserver.expect_request(PATHS["json"]).respond_with_handler(
        imitations.conditional({"version": "1.3.0"})
    )

    first = sources.ASK[kind](_query(httpserver, kind))
    again = sources.ASK[kind](_query(httpserver, kind, validators=first.validators))

    assert first.found is not None
    assert again.found is None
    assert again.validators == first.validators


@pytest.mark.parametrize("kind", PATHS)
@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (Response(status=404), "does not know this location"),
        (Response(status=401), "token|authorization"),
        (Response(status=500), "answered 500"),
        (Response("<html>Sign in</html>"), "not the JSON"),
        (Response(b"\xff\xfe", content_type="application/json"), "not the JSON"),
        (Response("[" * 5000, content_type="application/json"), "not the JSON"),
        (Response('"text"', content_type="application/json"), "has no|leads to no"),
        (
            Response('{"version": 7, "versions": 7, "tags": 7, "files": 7}'),
            "has no|leads to no|no version",
        ),
    ],
)
def test_rubbish_has_a_clear_reason(
    httpserver: HTTPServer, kind: str, answer: Response, reason: str
) -> None:
    httpserver.expect_request(PATHS[kind]).respond_with_handler(lambda _: answer)

    with pytest.raises(SourceUnavailable, match=reason):
        _ask(httpserver, kind)


@pytest.mark.parametrize("kind", PATHS)
@pytest.mark.parametrize(
    ("text", "seconds"), [("120", 120), ("99999999999", None), ("soon", None), ("", None)]
)
def test_retry_after_is_honoured(
    httpserver: HTTPServer, kind: str, text: str, seconds: int | None
) -> None:
    httpserver.expect_request(PATHS[kind]).respond_with_data(
        "", status=429, headers={"Retry-After": text}
    )

    with pytest.raises(SourceUnavailable, match="limits how often") as caught:
        _ask(httpserver, kind)

    assert caught.value.retry_after_seconds == (seconds or 60)


def test_a_source_that_asks_for_a_year_is_asked_again_tomorrow(httpserver: HTTPServer) -> None:
    later = dt.datetime.now(dt.UTC) + dt.timedelta(days=365)
    text = later.strftime("%a, %d %b %Y %H:%M:%S GMT")
    httpserver.expect_request(PATHS["json"]).respond_with_data(
        "", status=503, headers={"Retry-After": text}
    )

    with pytest.raises(SourceUnavailable) as caught:
        _ask(httpserver, "json")

    assert caught.value.retry_after_seconds == exchange.MAX_RETRY_AFTER_SECONDS


def test_megabytes_are_not_read(httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange, "MAX_DOCUMENT_BYTES", 10_000)
    httpserver.expect_request(PATHS["json"]).respond_with_data(b" " * 20_000)

    with pytest.raises(SourceUnavailable, match="more than 10,000 bytes"):
        _ask(httpserver, "json")


def test_a_slow_source_is_left_in_time(
    httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exchange, "TIMEOUT_SECONDS", 0.2)

    is_given_up = threading.Event()

    def dawdle(request: Request) -> Response:
        is_given_up.wait(10)
        return Response("{}")

    httpserver.expect_request(PATHS["json"]).respond_with_handler(dawdle)

    with pytest.raises(SourceUnavailable, match="in time"):
        _ask(httpserver, "json")
    is_given_up.set()


def test_a_redirect_to_inside_is_refused(httpserver: HTTPServer) -> None:
    place = "http://169.254.169.254/latest/meta-data/"
    httpserver.expect_request(PATHS["json"]).respond_with_data(
        "", status=302, headers={"Location": place}
    )

    with pytest.raises(SourceUnavailable, match="never called"):
        _ask(httpserver, "json")


def test_a_source_inside_is_refused_where_no_network_is_allowed(
    httpserver: HTTPServer, settings: Any
) -> None:
    settings.SAGA_ALLOWED_NETWORKS = []

    with pytest.raises(SourceUnavailable, match="SAGA_ALLOWED_NETWORKS"):
        _ask(httpserver, "json")


@pytest.mark.parametrize("kind", LOCATIONS)
@pytest.mark.parametrize(
    "location", ["", "../../etc", "a b", "x?y=z", "acme/payment/../..", "ünïcode", "a" * 300]
)
def test_a_location_that_is_none_is_refused_without_a_call(
    httpserver: HTTPServer, kind: str, location: str
) -> None:
    with pytest.raises(SourceUnavailable, match="location must be"):
        _ask(httpserver, kind, location=location)

    assert not httpserver.log
