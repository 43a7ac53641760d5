"""Lists that had ``offset`` before there were cursors have both."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from rest_framework.test import APIClient

from tests import factories
from updates.models import Approval

pytestmark = pytest.mark.django_db
LISTS = ("sources", "releases", "approvals")
COUNT = 5


@pytest.fixture(params=LISTS)
def plural(request: pytest.FixtureRequest) -> str:
    for number in range(COUNT):
        _make(str(request.param), number)
    return str(request.param)


def _make(plural: str, number: int) -> None:
    service = factories.ServiceFactory.create(name=f"{plural}-{number}")
    if plural == "sources":
        factories.SourceFactory.create(service=service)
        return
    # Two at the same time: neither may be lost.
    moment = factories.NOW + dt.timedelta(seconds=number // 2)
    release = factories.ReleaseFactory.create(service=service, recorded_at=moment)
    if plural == "approvals":
        Approval.objects.create(service=service, release=release, requested_at=moment)


def _list(api: APIClient, plural: str, query: str) -> dict[str, Any]:
    answer = api.get(f"/api/v1/{plural}?{query}")
    assert answer.status_code == 200, answer.content
    return dict(answer.json())


def _names(page: dict[str, Any], plural: str) -> list[str]:
    return [row["service_name"] for row in page[plural]]


@pytest.mark.parametrize("first", ["limit=2", "limit=2&offset=0"])
def test_links_lead_through_all_rows_and_back(api: APIClient, plural: str, first: str) -> None:
    pages = [_list(api, plural, first)]
    while following := pages[-1]["next"]:
        pages.append(_list(api, plural, following.partition("?")[2]))
    back = _list(api, plural, pages[-1]["previous"].partition("?")[2])

    names = [name for page in pages for name in _names(page, plural)]
    assert names == _names(_list(api, plural, "limit=1000"), plural)
    assert len(set(names)) == COUNT
    assert [page["total"] for page in pages] == [COUNT] * 3
    assert _names(back, plural) == _names(pages[1], plural)


def test_a_row_that_is_added_moves_no_page_of_a_cursor(api: APIClient) -> None:
    for number in range(4):
        _make("releases", number)
    first = _list(api, "releases", "limit=2")
    _make("releases", 9)

    second = _list(api, "releases", first["next"].partition("?")[2])

    assert not set(_names(first, "releases")) & set(_names(second, "releases"))
    assert len(second["releases"]) == 2


@pytest.mark.parametrize("query", ["cursor=x", "cursor=cD14&offset=1", "offset=-1"])
def test_a_cursor_or_offset_that_is_none_is_refused(
    api: APIClient, plural: str, query: str
) -> None:
    assert api.get(f"/api/v1/{plural}?{query}").status_code == 400
