"""Each kind of source, against an imitation that answers as the real one does, and against rubbish."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import re
import threading
import time
from typing import Any

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from tests.updates.releases.sources import imitations
from updates.errors import SourceUnavailable
from updates.releases import sources
from updates.releases.sources import document, exchange

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


def test_github_tags_of_a_monorepo_are_selected_by_their_prefix(httpserver: HTTPServer) -> None:
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


def test_of_several_pypi_wheels_for_platforms_none_is_guessed(httpserver: HTTPServer) -> None:
    name = "acme_payment-1.3.0-cp312-cp312-{}.whl"
    platforms = ("macosx_11_0_arm64", "manylinux_2_28_x86_64")
    files = [imitations.pypi_file(name.format(platform)) for platform in platforms]
    imitations.serve_pypi(httpserver, files)

    asked = _ask(httpserver, "pypi")[0]
    named = _ask(httpserver, "pypi", options={"asset": "*x86_64.whl"})[0]

    assert asked.artifact_url == ""
    assert all(platform in asked.artifact_problem for platform in platforms)
    assert named.artifact_url.endswith("manylinux_2_28_x86_64.whl")


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
    httpserver: HTTPServer, settings: Any
) -> None:
    settings.SAGA_SOURCE_MAX_SECONDS = 0
    imitations.serve_oci(httpserver, ["1.2.0"])

    with pytest.raises(SourceUnavailable, match="in time"):
        _ask(httpserver, "oci")


# --- JSON documents -------------------------------------------------------------------------------


def test_a_document_is_read_by_pointers(httpserver: HTTPServer) -> None:
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


def test_the_bound_of_an_answer_is_a_setting(httpserver: HTTPServer, settings: Any) -> None:
    settings.SAGA_SOURCE_MAX_BYTES = 10_000
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


# --- Lists to their end, later facts, foreign JSON -------------------------------------------------


def _serve_pages(server: HTTPServer, path: str, pages: list[Any]) -> None:
    """Serve a list with pages joined by the ``Link`` header, each with its ETag."""

    def answer(request: Request) -> Response:
        number = int(request.args.get("page", "1"))
        etag = f'"{hashlib.sha256(json.dumps(pages[number - 1]).encode()).hexdigest()}"'
        headers = {"ETag": etag}
        if number < len(pages):
            headers["Link"] = f'<{server.url_for(path)}?page={number + 1}>; rel="next"'
        if request.headers.get("If-None-Match") == etag:
            return Response(status=304, headers=headers)
        return Response(json.dumps(pages[number - 1]), headers=headers)

    server.expect_request(path).respond_with_handler(answer)


def test_github_reads_past_the_releases_of_other_packages(httpserver: HTTPServer) -> None:
    foreign = [imitations.github_release(f"zeta-v{n}.0.0") for n in range(160)]
    own = [imitations.github_release("payment-v1.9.0")]
    _serve_pages(httpserver, PATHS["github"], [foreign[:100], foreign[100:] + own])

    answer = sources.ASK["github"](_query(httpserver, "github", options={"tag_prefix": "payment-"}))

    assert [release.version for release in answer.found or ()] == ["1.9.0"]
    assert (answer.listed, answer.warning) == (frozenset({"1.9.0"}), "")


def test_a_change_on_a_later_page_is_seen(httpserver: HTTPServer) -> None:
    first, last = [imitations.github_release("v2.0.0")], [imitations.github_release("v1.0.0")]
    _serve_pages(httpserver, PATHS["github"], [first, last])
    known = sources.ASK["github"](_query(httpserver, "github")).validators

    same = sources.ASK["github"](_query(httpserver, "github", validators=known))
    httpserver.clear_all_handlers()
    _serve_pages(
        httpserver, PATHS["github"], [first, [imitations.github_release("v1.0.0", prerelease=True)]]
    )
    changed = sources.ASK["github"](_query(httpserver, "github", validators=known))

    assert same.found is None
    assert [release.is_prerelease for release in changed.found or ()] == [False, True]


def test_a_list_that_was_not_read_to_its_end_says_so(httpserver: HTTPServer, settings: Any) -> None:
    settings.SAGA_SOURCE_MAX_PAGES = 2
    releases = [[imitations.github_release(f"v{n}.0.0")] for n in range(1, 5)]
    _serve_pages(httpserver, PATHS["github"], releases)

    answer = sources.ASK["github"](_query(httpserver, "github"))

    assert "not read to its end" in answer.warning
    assert (answer.listed, dict(answer.validators)) == (None, {})


@pytest.mark.parametrize("page_size", [50, 100])
def test_oci_reads_all_tags_however_short_the_pages_are(
    httpserver: HTTPServer, page_size: int
) -> None:
    tags = [f"1.{minor}.0" for minor in range(1001)] + ["9.9.9"]
    imitations.serve_oci(httpserver, tags, page_size=page_size)

    assert _ask(httpserver, "oci")[0].version == "9.9.9"


def test_oci_asks_on_where_a_registry_cuts_its_list_without_a_word(httpserver: HTTPServer) -> None:
    tags = [f"1.{minor:03}.0" for minor in range(120)]

    def silent(request: Request) -> Response:
        start = tags.index(request.args["last"]) + 1 if "last" in request.args else 0
        return Response(json.dumps({"tags": tags[start : start + 50]}))

    httpserver.expect_request(PATHS["oci"]).respond_with_handler(silent)
    httpserver.expect_request(re.compile("/v2/acme/payment/manifests/.*")).respond_with_data(
        "", status=404
    )

    answer = sources.ASK["oci"](_query(httpserver, "oci"))

    assert len(answer.listed or ()) == 120
    assert (answer.found or ())[0].version == "1.119.0"


def test_oci_keeps_variants_and_withdraws_a_deleted_image(httpserver: HTTPServer) -> None:
    httpserver.expect_request(PATHS["oci"]).respond_with_json(
        {"tags": ["17.11-alpine", "latest", "sha-3f2a91bc", "17.9-alpine"]}
    )
    httpserver.expect_request(re.compile("/v2/acme/payment/manifests/.*")).respond_with_data(
        "", status=404
    )

    found = _ask(httpserver, "oci")

    assert [release.version for release in found] == ["17.11-alpine", "17.9-alpine"]
    assert [release.is_withdrawn for release in found] == [True, True]


def test_npms_latest_rules_unless_a_channel_is_named(httpserver: HTTPServer) -> None:
    names = ("6.3.2", "6.3.4", "6.3.6", "5.9.0")
    versions = [imitations.npm_version(version) for version in names]
    imitations.serve_npm(httpserver, versions, {"latest": "6.3.2", "next": "6.3.6", "v5": "5.9.0"})

    found = {release.version: release for release in _ask(httpserver, "npm")}

    assert [v for v in names if found[v].needs_channel] == ["6.3.4", "6.3.6"]
    assert [found[v].channel for v in names] == ["", "", "next", "v5"]


@pytest.mark.parametrize(
    ("needs_times", "accept"),
    [(False, "application/vnd.npm.install-v1+json"), (True, "application/json")],
)
def test_npm_asks_for_the_short_document_unless_times_are_needed(
    httpserver: HTTPServer, needs_times: bool, accept: str
) -> None:
    imitations.serve_npm(httpserver, [imitations.npm_version("1.0.0")], {"latest": "1.0.0"})

    _ask(httpserver, "npm", needs_times=needs_times)

    assert httpserver.log[0][0].headers["Accept"].startswith(accept)


def test_pypi_urls_may_be_relative_to_the_page(httpserver: HTTPServer) -> None:
    file = imitations.pypi_file("acme_payment-1.3.0-py3-none-any.whl", url="../../pkg.whl")
    imitations.serve_pypi(httpserver, [file])

    assert _ask(httpserver, "pypi")[0].artifact_url == httpserver.url_for("/pkg.whl")


def test_an_index_that_knows_only_html_is_read(httpserver: HTTPServer) -> None:
    digest = imitations.SHA256
    page = f"""<!DOCTYPE html><html><body>
        <a href="/packages/acme_payment-1.3.0.tar.gz#sha256={digest}">acme_payment-1.3.0.tar.gz</a><br>
        <a href="/packages/acme_payment-1.4.0.tar.gz" data-yanked="">1.4.0</a></body></html>"""
    httpserver.expect_request(PATHS["pypi"]).respond_with_data(page, content_type="text/html")

    yanked, standing = _ask(httpserver, "pypi")

    assert (yanked.version, yanked.is_withdrawn) == ("1.4.0", True)
    assert standing.artifact_url == httpserver.url_for("/packages/acme_payment-1.3.0.tar.gz")
    assert standing.checksum == f"sha256:{digest}"


@pytest.mark.parametrize(
    "body",
    [
        rb'[{"tag_name": "v1.3.0", "body": "bad \u0000 byte"}]',
        rb'[{"tag_name": "v1.3.0", "body": "half \ud83d"}]',
        b'\xef\xbb\xbf[{"tag_name": "v1.3.0"}]',
        b'[{"tag_name": "v1.3.0", "score": NaN}]',
        b'[{"tag_name": "v1.3.0", "node_id": 1, "node_id": 2}]',
        b'[{"tag_name": "v1.3.0", "id": ' + b"9" * 5000 + b"}]",
        b'[{"tag_name": "v1.3.0", "body": "latin \xe9"}]',
        b'[{"tag_name": "v1.3.0", "body": "tab \t and line \n"}]',
        b'[{"tag_name": "v1.3.0"}, {"tag_name": "v1.2.0", "body": "old \\u0000"}]',
    ],
)
def test_one_strange_character_does_not_cost_the_source(
    httpserver: HTTPServer, body: bytes
) -> None:
    httpserver.expect_request(PATHS["github"]).respond_with_data(body)

    newest = _ask(httpserver, "github")[0]

    assert newest.version == "1.3.0"
    assert "\x00" not in newest.notes
    newest.notes.encode()


def test_a_number_where_a_version_belongs_is_named(httpserver: HTTPServer) -> None:
    httpserver.expect_request(PATHS["json"]).respond_with_json({"version": 1.1})

    with pytest.raises(SourceUnavailable, match=r"the number 1\.1"):
        _ask(httpserver, "json")


def test_a_pattern_selects_the_tags_that_are_versions_of_the_service(
    httpserver: HTTPServer,
) -> None:
    tags = ("release/1.4.0", "release/1.5.0-docs", "nightly")
    imitations.serve_github(httpserver, [imitations.github_release(tag) for tag in tags])

    found = _ask(httpserver, "github", options={"tag_pattern": r"release/(?<version>[0-9.]+)"})

    assert [release.version for release in found] == ["1.4.0"]


def test_a_wrong_pattern_is_named(httpserver: HTTPServer) -> None:
    imitations.serve_github(httpserver, [imitations.github_release("v1")])

    with pytest.raises(SourceUnavailable, match="tag_pattern"):
        _ask(httpserver, "github", options={"tag_pattern": "("})
