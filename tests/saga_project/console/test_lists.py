"""The admin's lists with the console's rows: words, links, times, and no query for a row."""

from __future__ import annotations

import re

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from saga_project.console import navigation
from tests import factories
from tests.factories import NOW
from tests.saga_project.console import rows
from tests.saga_project.console.conftest import Member

SERVICES = "/admin/registry/service/"
LISTS = [navigation.list_of(label) for _, entries in navigation.GROUPS for label, *_ in entries]


@pytest.mark.parametrize("address", LISTS)
def test_a_list_takes_as_many_queries_for_many_rows_as_for_few(
    address: str, member: Member, redis: object
) -> None:
    client = member("administrators")
    rows.make(name="first")
    few = _queries(client, address)
    for number in range(5):
        rows.make(name=f"more-{number}")

    assert _queries(client, address) == few


def _queries(client: object, address: str) -> int:
    with CaptureQueriesContext(connection) as captured:
        assert client.get(address).status_code == 200  # type: ignore[attr-defined]
    return len(captured)


def test_a_row_leads_to_its_page_and_to_its_service(member: Member, redis: object) -> None:
    made = rows.make()

    page = member("viewers").get("/admin/updates/job/").content.decode()

    assert f'<a href="/admin/updates/job/{made.job.pk}/change/"><bdi>{made.job.job_id}' in page
    assert '<a href="/admin/services/shop/"><bdi>shop</bdi></a>' in page


@pytest.mark.parametrize("address", LISTS)
def test_no_link_is_inside_of_another(address: str, member: Member, redis: object) -> None:
    rows.make()

    page = member("administrators").get(address).content.decode()

    assert not re.search(r"<a [^>]*>(?:(?!</a>).)*<a ", page, re.DOTALL)


def test_a_list_that_is_not_counted_offers_no_selection_of_all_rows(
    member: Member, redis: object
) -> None:
    rows.make()
    client = member("administrators")

    for model in ("updates/historyentry", "updates/job", "updates/release", "webhooks/delivery"):
        page = client.get(f"/admin/{model}/").content.decode()
        assert "9999999999" not in page


def test_a_row_keeps_the_filters_to_come_back_to(member: Member, redis: object) -> None:
    rows.make()

    page = member("viewers").get("/admin/webhooks/delivery/?status__exact=dead").content.decode()

    assert "change/?_changelist_filters=status__exact%3Ddead" in page


def test_a_state_is_a_word_with_a_sign_and_a_time_knows_its_zone(
    member: Member, redis: object
) -> None:
    rows.make()

    page = member("viewers").get(SERVICES).content.decode()

    assert re.search(r'sg-warn"><span class="material[^>]*>hourglass_empty</span>pending', page)
    assert f'<time datetime="{NOW:%Y-%m-%dT%H:%M:%SZ}"' in page


@pytest.mark.parametrize("word", ["pending", "expired"])
def test_services_are_found_by_their_state(word: str, member: Member, redis: object) -> None:
    rows.make()
    factories.ServiceFactory.create(name="lost")

    page = member("viewers").get(f"{SERVICES}?state={word}").content.decode()

    found = {name for name in ("shop", "lost") if f"<bdi>{name}</bdi></a></th>" in page}
    assert found == {"pending": {"shop"}, "expired": {"lost"}}[word]


def test_empty_result_offers_a_link_back(member: Member, redis: object) -> None:
    rows.make()

    page = member("viewers").get(f"{SERVICES}?q=nobody").content.decode()

    assert "Nothing here matches." in page
    assert "Show everything" in page


@pytest.mark.parametrize(
    ("role", "is_offered"), [("viewers", False), ("operators", True), ("administrators", True)]
)
def test_rows_can_be_chosen_only_with_permission_to_act(
    role: str, is_offered: bool, member: Member, redis: object
) -> None:
    rows.make()

    page = member(role).get(SERVICES).content.decode()

    assert ('class="action-select"' in page) is is_offered


def test_figures_have_their_units(member: Member, redis: object) -> None:
    rows.make()
    client = member("viewers")

    history = client.get("/admin/updates/historyentry/").content.decode()
    jobs = client.get("/admin/updates/job/").content.decode()

    assert 'data-label="Duration">' in history
    assert 'data-label="Progress">0 %<' in jobs
