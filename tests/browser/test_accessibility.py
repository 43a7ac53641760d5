"""What axe-core finds serious: nothing, on any page, in either theme."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page

from saga_project.console import navigation
from tests.browser import chromium, stage
from tests.browser.conftest import LogIn
from tests.saga_project.console import rows

FORMS = ("policy", "selectorpolicy", "target", "source", "freeze", "maintenancewindow", "hold")


def _pages(made: rows.Rows, theme: str) -> list[str]:
    """Return every page; in the dark, where only colours differ, one list and one form stand for all."""
    lists = [navigation.list_of(label) for _, entries in navigation.GROUPS for label, *_ in entries]
    forms = [f"/admin/updates/{name}/add/" for name in FORMS]
    if theme == "dark":
        lists, forms = lists[:1], forms[:1]
    return [
        *made.pages().values(),
        f"/admin/services/{made.service.name}/do/reject/",
        *lists,
        *forms,
    ]


def _barriers(page: Page, addresses: list[str]) -> dict[str, list[str]]:
    found = {}
    for address in addresses:
        page.goto(address)
        if barriers := chromium.barriers(page):
            found[address] = barriers
    return found


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_no_page_has_a_serious_barrier(theme: str, log_in: LogIn) -> None:
    stage.service("catalog", instances=2)
    page = log_in("adam")
    page.emulate_media(color_scheme=theme, reduced_motion="reduce")  # type: ignore[arg-type]
    made = rows.make("plain")

    assert _barriers(page, _pages(made, theme)) == {}


def test_every_button_is_reached_with_the_keyboard(log_in: LogIn) -> None:
    stage.service("catalog")
    page = log_in("adam")
    page.goto("/admin/services/catalog/")

    reached = set()
    for _ in range(80):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.id"))

    offered = set(page.locator("[id^=verb-]").evaluate_all("all => all.map(each => each.id)"))
    assert offered
    assert offered <= reached
