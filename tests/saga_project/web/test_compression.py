"""Pages and documents are compressed for clients that accept it; the fast path's answers never are."""

from __future__ import annotations

import gzip
import secrets
from collections.abc import Callable

import pytest
from django.http import HttpResponse, StreamingHttpResponse
from django.test import RequestFactory
from rest_framework.test import APIClient

from saga_project.shared import zstandard
from saga_project.web import compression
from tests import factories

pytestmark = pytest.mark.django_db
GZIP = {"Accept-Encoding": "gzip, deflate, br"}
#: What browsers of today send.
ZSTD = {"Accept-Encoding": "gzip, deflate, br, zstd"}
both = pytest.mark.parametrize(
    ("accepted", "name", "decompress"),
    [
        pytest.param(GZIP, "gzip", gzip.decompress, id="gzip"),
        pytest.param(ZSTD, "zstd", zstandard.decompress, id="zstd"),
    ],
)


@both
def test_the_document_is_a_third_of_its_size_and_the_same(
    accepted: dict[str, str], name: str, decompress: Callable[[bytes], bytes], api: APIClient
) -> None:
    plain = api.get("/api/v1/schema")

    compressed = api.get("/api/v1/schema", headers=accepted)

    assert "Content-Encoding" not in plain
    assert compressed["Content-Encoding"] == name
    assert "Accept-Encoding" in compressed["Vary"]
    assert int(compressed["Content-Length"]) == len(compressed.content)
    assert decompress(compressed.content) == plain.content
    assert len(compressed.content) < len(plain.content) / 3


@both
def test_two_compressions_of_one_page_differ_in_length(
    accepted: dict[str, str], name: str, decompress: object, api: APIClient
) -> None:
    answers = [api.get("/admin/login/", headers=accepted) for _ in range(20)]

    assert {answer["Content-Encoding"] for answer in answers} == {name}
    assert len({len(answer.content) for answer in answers}) > 1


@pytest.mark.parametrize(
    "accepted", ["", "identity", "zstd;q=0", "gzip;q=0.5, zstd; q=0.000", "*", "zstdx", "zstd;q=x"]
)
def test_zstd_is_sent_only_where_it_is_accepted(accepted: str) -> None:
    request = RequestFactory(headers={"Accept-Encoding": accepted}).get("/")

    assert not compression.accepts_zstd(request)


@pytest.mark.parametrize("accepted", ["zstd", "gzip, ZSTD;q=0.3", "br;q=1.0,zstd; q=0.8"])
def test_zstd_is_accepted_by_its_name(accepted: str) -> None:
    request = RequestFactory(headers={"Accept-Encoding": accepted}).get("/")

    assert compression.accepts_zstd(request)


@pytest.mark.parametrize(
    "response",
    [
        HttpResponse(b"short"),
        HttpResponse(secrets.token_bytes(400)),
        HttpResponse(b"a" * 500, headers={"Content-Encoding": "br"}),
    ],
    ids=["short", "random", "encoded"],
)
def test_what_gains_nothing_stays_as_it_is(response: HttpResponse) -> None:
    before = response.content, response.get("Content-Encoding")

    compression.compress(response)

    assert (response.content, response.get("Content-Encoding")) == before


def test_streams_are_sent_with_gzip() -> None:
    request = RequestFactory(headers=ZSTD).get("/")
    stream = StreamingHttpResponse([b"a" * 500, b"b" * 500])

    sent = compression.CompressionMiddleware(lambda _: stream)(request)

    assert isinstance(sent, StreamingHttpResponse)
    assert sent["Content-Encoding"] == "gzip"
    assert gzip.decompress(b"".join(sent)) == b"a" * 500 + b"b" * 500


@pytest.mark.parametrize("accepted", [GZIP, ZSTD], ids=["gzip", "zstd"])
def test_what_the_fast_path_answers_too_is_never_compressed(
    accepted: dict[str, str], api: APIClient, redis: object
) -> None:
    factories.ServiceFactory.create(name="shop", notes="x" * 500)

    for path in ("services?limit=1000", "services/shop/notes", "events?limit=1"):
        answer = api.get(f"/api/v1/{path}", headers=accepted)
        assert answer.status_code == 200
        assert "Content-Encoding" not in answer
        assert "Accept-Encoding" not in answer.get("Vary", "")


@pytest.mark.parametrize("accepted", [GZIP, ZSTD], ids=["gzip", "zstd"])
def test_a_tag_of_a_compressed_answer_is_known_again(
    accepted: dict[str, str], api: APIClient
) -> None:
    factories.PolicyFactory.create(service__name="shop")
    tag = api.get("/api/v1/policies/shop", headers=accepted)["ETag"]

    known = api.get("/api/v1/policies/shop", headers={**accepted, "If-None-Match": tag})
    changed = api.patch(
        "/api/v1/policies/shop", {"channel": "beta"}, format="json", headers={"If-Match": tag}
    )

    assert known.status_code == 304
    assert changed.status_code == 200
