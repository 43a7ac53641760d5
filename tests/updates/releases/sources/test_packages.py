"""Registries of packages, in the shapes that their servers answer with."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from typing import Any

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from updates.errors import SourceUnavailable
from updates.releases import sources

PUBLISHED = dt.datetime(2026, 2, 1, 10, tzinfo=dt.UTC)
SHA256 = hashlib.sha256(b"artifact").hexdigest()
GO_MODULE = "/github.com/!acme/payment/v2/@v"
LOCATIONS = {
    "helm": "payment",
    "maven": "com.acme.shop:payment",
    "crates": "Payment_Core",
    "rubygems": "payment",
    "go": "github.com/Acme/payment/v2",
    "endoflife": "postgresql",
}


def _query(server: HTTPServer, kind: str, **fields: Any) -> sources.Query:
    given = {"location": LOCATIONS[kind], "base_url": server.url_for("").rstrip("/")}
    return sources.Query(**{**given, **fields})


def _ask(server: HTTPServer, kind: str, **fields: Any) -> sources.Answer:
    return sources.ASK[kind](_query(server, kind, **fields))


def _found(answer: sources.Answer) -> dict[str, sources.Found]:
    assert answer.found is not None
    return {release.version: release for release in answer.found}


def _serve(server: HTTPServer, path: str, body: str, content_type: str = "text/plain") -> None:
    """Answer with an ETag, and 304 to a client that has it already."""
    etag = f'"{hashlib.sha256(body.encode()).hexdigest()}"'

    def answer(request: Request) -> Response:
        if request.headers.get("If-None-Match") == etag:
            return Response(status=304, headers={"ETag": etag})
        return Response(body, content_type=content_type, headers={"ETag": etag})

    server.expect_request(path).respond_with_handler(answer)


# --- Helm -----------------------------------------------------------------------------------------

INDEX = f"""\
apiVersion: v1
entries:
  other:
  - {{apiVersion: v2, name: other, version: 9.0.0, urls: [other-9.0.0.tgz]}}
  payment:
  - apiVersion: v2
    appVersion: "2.4"
    created: "2026-02-01T10:00:00.000000000Z"
    description: Takes payments
    digest: {SHA256}
    name: payment
    urls:
    - charts/payment-1.10.0.tgz
    version: 1.10.0
  - apiVersion: v2
    created: 2026-01-01T10:00:00Z
    name: payment
    urls: ["https://charts.example/payment-1.9.0.tgz"]
    version: 1.9.0
    deprecated: true
  - {{apiVersion: v2, name: payment, urls: ["oci://ghcr.io/acme/payment:1.8"], version: 1.8}}
  - {{apiVersion: v2, name: payment, urls: [], version: 2.0.0-rc.1}}
generated: "2026-02-01T10:00:00.000000000Z"
"""


def test_helm_charts_are_read_from_the_index(httpserver: HTTPServer) -> None:
    _serve(httpserver, "/index.yaml", INDEX, "application/x-yaml")

    answer = _ask(httpserver, "helm")

    found = _found(answer)
    assert list(found) == ["2.0.0-rc.1", "1.10.0", "1.9.0", "1.8"]
    newest = found["1.10.0"]
    assert newest.artifact_url == httpserver.url_for("/charts/payment-1.10.0.tgz")
    assert (newest.checksum, newest.published_at) == (f"sha256:{SHA256}", PUBLISHED)
    assert [release.is_withdrawn for release in found.values()] == [False, False, True, False]
    assert (found["1.9.0"].artifact_url[:16], found["1.8"].artifact_url) == ("https://charts.e", "")


def test_helm_distinguishes_a_missing_chart_from_a_missing_server(httpserver: HTTPServer) -> None:
    _serve(httpserver, "/index.yaml", INDEX)

    with pytest.raises(SourceUnavailable, match="no chart 'refund'"):
        _ask(httpserver, "helm", location="refund")
    with pytest.raises(SourceUnavailable, match="base URL must name the repository"):
        _ask(httpserver, "helm", base_url="")


# --- Maven ----------------------------------------------------------------------------------------

METADATA = """<?xml version="1.0" encoding="UTF-8"?>
<metadata>
  <groupId>com.acme.shop</groupId>
  <artifactId>payment</artifactId>
  <versioning>
    <latest>1.11.0-SNAPSHOT</latest>
    <release>1.10.0.Final</release>
    <versions>
      <version>1.9.0.Final</version>
      <version>1.10.0.CR1</version>
      <version>1.10.0.Final</version>
      <version>1.11.0-SNAPSHOT</version>
    </versions>
    <lastUpdated>20260201100000</lastUpdated>
  </versioning>
</metadata>
"""


def test_maven_versions_are_read_in_mavens_order(httpserver: HTTPServer) -> None:
    _serve(httpserver, "/com/acme/shop/payment/maven-metadata.xml", METADATA, "text/xml")
    options = {"extension": "tar.gz", "classifier": "dist"}

    found = _found(_ask(httpserver, "maven", options=options))

    assert list(found) == ["1.11.0-SNAPSHOT", "1.10.0.Final", "1.10.0.CR1", "1.9.0.Final"]
    assert found["1.10.0.Final"].artifact_url == httpserver.url_for(
        "/com/acme/shop/payment/1.10.0.Final/payment-1.10.0.Final-dist.tar.gz"
    )
    assert "snapshot" in found["1.11.0-SNAPSHOT"].artifact_problem


def test_xml_with_entities_is_refused(httpserver: HTTPServer) -> None:
    bomb = '<!DOCTYPE metadata [<!ENTITY a "aaaa">]><metadata>&a;</metadata>'
    _serve(httpserver, "/com/acme/shop/payment/maven-metadata.xml", bomb, "text/xml")

    with pytest.raises(SourceUnavailable, match="not the XML"):
        _ask(httpserver, "maven")


# --- crates.io ------------------------------------------------------------------------------------


def _serve_crate(server: HTTPServer, **config: Any) -> None:
    lines = [
        {"name": "Payment_Core", "vers": "1.9.0", "cksum": SHA256, "yanked": False},
        {
            "name": "Payment_Core",
            "vers": "1.10.0",
            "cksum": SHA256,
            "yanked": False,
            "pubtime": "2026-02-01T10:00:00Z",
        },
        {"name": "Payment_Core", "vers": "1.11.0", "cksum": SHA256, "yanked": True},
    ]
    _serve(server, "/pa/ym/payment_core", "".join(f"{json.dumps(line)}\n" for line in lines))
    server.expect_request("/config.json").respond_with_json(config)


def test_crates_are_read_from_the_sparse_index(httpserver: HTTPServer) -> None:
    _serve_crate(httpserver, dl="https://static.crates.example/crates")

    found = _found(_ask(httpserver, "crates"))

    newest = found["1.10.0"]
    assert newest.artifact_url == (
        "https://static.crates.example/crates/Payment_Core/1.10.0/download"
    )
    assert (newest.checksum, newest.published_at) == (f"sha256:{SHA256}", PUBLISHED)
    assert [release.is_withdrawn for release in found.values()] == [True, False, False]
    assert found["1.9.0"].published_at is None


def test_a_cargo_registry_says_where_its_files_and_times_are(httpserver: HTTPServer) -> None:
    template = "https://x.example/{lowerprefix}/{crate}-{version}.crate"
    _serve_crate(httpserver, dl=template, api=httpserver.url_for("").rstrip("/"))
    versions = [{"num": "1.9.0", "created_at": "2026-02-01T10:00:00+00:00"}]
    httpserver.expect_request("/api/v1/crates/Payment_Core/versions").respond_with_json(
        {"versions": versions}
    )

    found = _found(_ask(httpserver, "crates", needs_times=True))

    assert found["1.9.0"].artifact_url == "https://x.example/pa/ym/Payment_Core-1.9.0.crate"
    assert found["1.9.0"].published_at == PUBLISHED


# --- RubyGems -------------------------------------------------------------------------------------


def test_gems_are_read_for_one_platform(httpserver: HTTPServer) -> None:
    versions = [
        {"number": "2.0.0.pre1", "platform": "ruby", "prerelease": True, "sha": SHA256},
        {"number": "1.10.0", "platform": "x86_64-linux", "prerelease": False, "sha": "0" * 64},
        {
            "number": "1.10.0",
            "platform": "ruby",
            "prerelease": False,
            "sha": SHA256,
            "created_at": "2026-02-01T10:00:00.000Z",
        },
    ]
    _serve(httpserver, "/api/v1/versions/payment.json", json.dumps(versions))

    found = _found(_ask(httpserver, "rubygems"))
    native = _found(_ask(httpserver, "rubygems", options={"platform": "x86_64-linux"}))

    assert list(found) == ["2.0.0.pre1", "1.10.0"]
    assert found["2.0.0.pre1"].is_prerelease
    assert found["1.10.0"].artifact_url == httpserver.url_for("/gems/payment-1.10.0.gem")
    assert (found["1.10.0"].checksum, found["1.10.0"].published_at) == (
        f"sha256:{SHA256}",
        PUBLISHED,
    )
    assert native["1.10.0"].artifact_url.endswith("/gems/payment-1.10.0-x86_64-linux.gem")


# --- Go -------------------------------------------------------------------------------------------


def test_go_modules_are_read_with_upper_case_escaped(httpserver: HTTPServer) -> None:
    module = GO_MODULE
    _serve(httpserver, f"{module}/list", "v2.9.0\nv2.10.0\nv2.11.0-RC1\n")
    for escaped in ("v2.9.0", "v2.10.0", "v2.11.0-!r!c1"):
        info = {"Version": escaped, "Time": "2026-02-01T10:00:00Z"}
        httpserver.expect_request(f"{module}/{escaped}.info").respond_with_json(info)

    found = _found(_ask(httpserver, "go"))

    assert list(found) == ["2.11.0-RC1", "2.10.0", "2.9.0"]
    assert found["2.11.0-RC1"].artifact_url == httpserver.url_for(f"{module}/v2.11.0-!r!c1.zip")
    assert found["2.10.0"].published_at == PUBLISHED


def test_a_go_module_without_tags_has_its_latest_commit(httpserver: HTTPServer) -> None:
    version = "v0.0.0-20260201100000-abcdefabcdef"
    module = "/github.com/!acme/payment/v2"
    _serve(httpserver, f"{module}/@v/list", "")
    latest = {"Version": version, "Time": "2026-02-01T10:00:00Z"}
    httpserver.expect_request(f"{module}/@latest").respond_with_json(latest)
    httpserver.expect_request(f"{module}/@v/{version}.info").respond_with_json(latest)

    assert list(_found(_ask(httpserver, "go"))) == [version.removeprefix("v")]


# --- endoflife.date -------------------------------------------------------------------------------


def test_the_newest_version_of_each_cycle_is_read(httpserver: HTTPServer) -> None:
    cycles = [
        {"cycle": "18", "latest": "18.1", "latestReleaseDate": "2026-02-01", "eol": "2030-11-14"},
        {"cycle": "17", "latest": "17.11", "latestReleaseDate": "2026-02-01", "eol": False},
        {"cycle": "9.6", "latest": "9.6.24", "releaseDate": "2016-09-29", "eol": True},
    ]
    _serve(httpserver, "/api/postgresql.json", json.dumps(cycles))
    options = {"artifact_url": "https://ftp.example/v{version}/postgresql-{version}.tar.gz"}

    answer = _ask(httpserver, "endoflife", options=options)

    found = _found(answer)
    assert list(found) == ["18.1", "17.11", "9.6.24"]
    assert found["17.11"].artifact_url == "https://ftp.example/v17.11/postgresql-17.11.tar.gz"
    assert found["18.1"].published_at == dt.datetime(2026, 2, 1, tzinfo=dt.UTC)
    assert "until 2030-11-14" in found["18.1"].notes
    assert answer.listed is None  # 17.10 is not gone because 17.11 follows it


# --- All of them ----------------------------------------------------------------------------------

PAGES = {
    "helm": ("/index.yaml", INDEX),
    "maven": ("/com/acme/shop/payment/maven-metadata.xml", METADATA),
    "rubygems": ("/api/v1/versions/payment.json", "[]"),
    "endoflife": ("/api/postgresql.json", '[{"latest": "1.0"}]'),
    "crates": ("/pa/ym/payment_core", ""),
    "go": (f"{GO_MODULE}/list", "v1.0.0\n"),
}


@pytest.mark.parametrize("kind", PAGES)
def test_what_did_not_change_is_not_sent_again(httpserver: HTTPServer, kind: str) -> None:
    _serve(httpserver, *PAGES[kind])
    httpserver.expect_request("/config.json").respond_with_json({"dl": "https://x.example"})
    httpserver.expect_request(f"{GO_MODULE}/v1.0.0.info").respond_with_json({})

    first = _ask(httpserver, kind)
    second = _ask(httpserver, kind, validators=first.validators)

    assert (first.found is not None, second.found) == (True, None)


@pytest.mark.parametrize("kind", PAGES)
def test_each_says_when_to_come_back_and_what_is_wrong(httpserver: HTTPServer, kind: str) -> None:
    path = PAGES[kind][0]
    httpserver.expect_ordered_request(path).respond_with_data(
        "", status=429, headers={"Retry-After": "90"}
    )
    httpserver.expect_ordered_request(path).respond_with_data("\x00{[<rubbish")

    with pytest.raises(SourceUnavailable, match="limits how often") as caught:
        _ask(httpserver, kind)

    assert caught.value.retry_after_seconds == 90
    if kind != "go":  # whose list is any text
        with pytest.raises(SourceUnavailable, match=r"is not the|has no"):
            _ask(httpserver, kind)


@pytest.mark.parametrize("kind", LOCATIONS)
@pytest.mark.parametrize("location", ["", "../../etc", "a b", "x?y=z", "ünïcode", "a" * 3000])
def test_a_location_of_no_package_is_refused_without_a_call(
    httpserver: HTTPServer, kind: str, location: str
) -> None:
    with pytest.raises(SourceUnavailable, match="location must be"):
        _ask(httpserver, kind, location=location)

    assert not httpserver.log
