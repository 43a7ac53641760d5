"""Pages and documents are compressed for clients that accept it; the fast path's answers never are."""

from __future__ import annotations

import gzip

import pytest
from rest_framework.test import APIClient

from tests import factories

pytestmark = pytest.mark.django_db
ACCEPTED = {"Accept-Encoding": "gzip, deflate, br"}


def test_the_document_is_a_third_of_its_size_and_the_same(api: APIClient) -> None:
    plain = api.get("/api/v1/schema")

    compressed = api.get("/api/v1/schema", headers=ACCEPTED)

    assert "Content-Encoding" not in plain
    assert compressed["Content-Encoding"] == "gzip"
    assert gzip.decompress(compressed.content) == plain.content
    assert len(compressed.content) < len(plain.content) / 3


def test_two_compressions_of_one_page_differ_in_length(api: APIClient) -> None:
    lengths = {len(api.get("/admin/login/", headers=ACCEPTED).content) for _ in range(20)}

    assert len(lengths) > 1


def test_what_the_fast_path_answers_too_is_never_compressed(api: APIClient, redis: object) -> None:
    factories.ServiceFactory.create(name="shop", notes="x" * 500)

    for path in ("services?limit=1000", "services/shop/notes", "events?limit=1"):
        answer = api.get(f"/api/v1/{path}", headers=ACCEPTED)
        assert answer.status_code == 200
        assert "Content-Encoding" not in answer
        assert "Accept-Encoding" not in answer.get("Vary", "")


def test_a_tag_of_a_compressed_answer_is_known_again(api: APIClient) -> None:
    factories.PolicyFactory.create(service__name="shop")
    tag = api.get("/api/v1/policies/shop", headers=ACCEPTED)["ETag"]

    known = api.get("/api/v1/policies/shop", headers={**ACCEPTED, "If-None-Match": tag})
    changed = api.patch(
        "/api/v1/policies/shop", {"channel": "beta"}, format="json", headers={"If-Match": tag}
    )

    assert known.status_code == 304
    assert changed.status_code == 200
