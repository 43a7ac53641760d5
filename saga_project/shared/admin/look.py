"""How unfold draws the admin."""

from __future__ import annotations

UNFOLD = {
    "SITE_TITLE": "Saga",
    "SITE_HEADER": "Saga",
    "SITE_SUBHEADER": "Registry, updates, webhooks",
    "SITE_SYMBOL": "hub",
    "SITE_URL": None,
    "SHOW_BACK_BUTTON": False,
    # The colours stand in static/saga/console.css: unfold would write them into the page.
    "SIDEBAR": {"navigation": "saga_project.console.navigation.sidebar"},
}
