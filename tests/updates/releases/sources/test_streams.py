"""Long documents are read while they arrive: in bounded memory, and as tolerantly as short ones."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Iterator
from typing import Any

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from tests.updates.releases.sources import imitations
from updates.errors import SourceUnavailable
from updates.releases import sources
from updates.releases.sources import streams

MIB = 2**20
VERSIONS = 100
#: Twenty versions of one document in memory; the whole has a hundred.
MEMORY = 20 * MIB
WANTED: streams.Wanted = {"a": {streams.ANY: streams.SCALAR}, "b": streams.SCALAR}


def _packument() -> Iterator[bytes]:
    """Write 100 MiB as the registry does: a readme and dependencies in each version."""
    yield b'{"name": "@acme/payment", "dist-tags": {"latest": "1.99.0"}, "versions": {'
    dependencies = {f"dependency-{number}": "^1.0.0" for number in range(50)}
    for minor in range(VERSIONS):
        manifest = imitations.npm_version(f"1.{minor}.0", dependencies=dependencies)
        bulk = "x" * (MIB - len(json.dumps(manifest)))
        text = json.dumps({**manifest, "readme": bulk})
        yield f"{',' if minor else ''}{json.dumps(manifest['version'])}: {text}".encode()
    yield b'}, "time": {"1.99.0": "2026-02-01T10:00:00.000Z"}}'


def _ask(server: HTTPServer) -> sources.Answer:
    query = sources.Query(location="@acme/payment", base_url=server.url_for("").rstrip("/"))
    return sources.ASK["npm"](query)


def _serve(server: HTTPServer, body: Any) -> None:
    def answer(_: Request) -> Response:
        return Response(body(), content_type="application/json")

    server.expect_request("/@acme/payment").respond_with_handler(answer)


def test_a_packument_of_100_mib_is_read_in_bounded_memory(
    httpserver: HTTPServer, settings: Any
) -> None:
    settings.SAGA_SOURCE_MAX_SECONDS = 600  # tracing the memory is slow
    _serve(httpserver, _packument)
    tracemalloc.start()

    try:
        answer = _ask(httpserver)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    newest = (answer.found or ())[0]
    assert (newest.version, newest.needs_channel) == ("1.99.0", False)
    assert newest.checksum.startswith("sha512:")
    assert newest.published_at is not None
    assert len(answer.listed or ()) == VERSIONS
    assert peak < MEMORY


def test_a_packument_beyond_the_bound_names_it(httpserver: HTTPServer, settings: Any) -> None:
    settings.SAGA_SOURCE_MAX_BYTES = 3 * MIB
    _serve(httpserver, _packument)

    with pytest.raises(SourceUnavailable, match="more than 3,145,728 bytes"):
        _ask(httpserver)


# --- Tolerance ------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 7, 4096])
@pytest.mark.parametrize(
    "passed_over",
    [
        b'"bad \\u0000 byte"',
        b'"raw \x00, tab \t and line \n"',
        b'"half \\ud83d"',
        b'"latin \xe9 and a half surrogate \xed\xa0\x80"',
        b"NaN",
        b"[-Infinity, Infinity]",
        b"9" * 5000,
        b"1e400",
        b'1, "x": 2',
        b"[" * 20_000 + b"]" * 20_000,
        b'{"a": {"b": [{"c": 1}]}}',
    ],
    ids=lambda text: repr(text[:16]),
)
def test_what_is_not_wanted_does_not_cost_the_document(passed_over: bytes, size: int) -> None:
    text = b'\xef\xbb\xbf{"x": ' + passed_over + b', "a": {"k": "v", "n": {}}, "b": 1}'
    chunks = [text[start : start + size] for start in range(0, len(text), size)]

    assert streams.read(chunks, wanted=WANTED) == {"a": {"k": "v"}, "b": 1}


def test_a_wanted_text_is_storable_and_bounded() -> None:
    text = json.dumps({"b": "x" * 10_000, "a": {"k": "caf\u00e9 \U0001f600"}}).encode()

    assert streams.read([text], wanted=WANTED) == {
        "b": "x" * streams.MAX_TEXT,
        "a": {"k": "caf\u00e9 \U0001f600"},
    }


@pytest.mark.parametrize(
    "text",
    [b"", b"<html>", b'{"a": ', b'{"a": 1} trailing', b'{"b": 1e' + b"9" * 40 + b"}", b"[" * 9999],
    ids=lambda text: repr(text[:16]),
)
def test_what_is_no_json_is_refused(text: bytes) -> None:
    with pytest.raises(SourceUnavailable, match="not the JSON"):
        streams.read([text], wanted=WANTED)


@pytest.mark.parametrize("text", [b"[1]", b'"a"', b"1"])
def test_another_document_than_an_object_holds_nothing(text: bytes) -> None:
    assert streams.read([text], wanted=WANTED) == {}
