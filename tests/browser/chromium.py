"""The system's Chromium, as tests and screenshots drive it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from playwright.sync_api import Browser, ConsoleMessage, Page, Playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-dev-shm-usage",
    "--no-first-run",
]
WORD = (
    "There is no browser here: install Chromium (Debian: apt install chromium),"
    " or name one in SAGA_BROWSER."
)
AXE = Path(__file__).parent / "vendor" / "axe-4.14.1.min.js"
CUT_OFF = "net::ERR_INTERNET_DISCONNECTED"  # what a test does to a page, not what the page does
CONFLICT = "status of 409 (Conflict)"
SERIOUS = {"serious", "critical"}


def path() -> str | None:
    """Return where a browser is, None where there is none."""
    named = os.environ.get("SAGA_BROWSER")
    return named or next((found for name in NAMES if (found := shutil.which(name))), None)


def launch(playwright: Playwright) -> Browser:
    found = path()
    if found is None:
        raise SystemExit(WORD)
    return playwright.chromium.launch(executable_path=found, args=ARGUMENTS)


def complaints_of(page: Page) -> list[str]:
    """Return a list that fills with the page's errors, and with what the CSP refused.

    A conflict is the answer of a form that Saga refuses, and no error of the page.
    """
    found: list[str] = []

    def note(message: ConsoleMessage) -> None:
        is_expected = CUT_OFF in message.text or CONFLICT in message.text
        if message.type in ("error", "warning") and not is_expected:
            found.append(f"{message.type}: {message.text} at {page.url}")

    page.on("console", note)
    page.on("pageerror", lambda error: found.append(f"uncaught: {error} at {page.url}"))
    page.add_init_script(
        "addEventListener('securitypolicyviolation', (event) =>"
        " console.error('refused by CSP: ' + event.violatedDirective + ' ' + event.blockedURI))"
    )
    return found


def barriers(page: Page) -> list[str]:
    """Return what axe-core finds serious on the page as it stands."""
    page.evaluate(AXE.read_text())
    results = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [
        f"{each['id']} ({each['impact']}): {node['html'][:160]} {node.get('failureSummary', '')[:300]}"
        for each in results["violations"]
        if each["impact"] in SERIOUS
        for node in each["nodes"][:3]
    ]
