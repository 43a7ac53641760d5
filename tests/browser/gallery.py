"""Every page worth a picture, light and dark, on a desk and on a phone."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from saga_project import wsgi  # noqa: F401 - sets Django up, before anything imports its models

# isort: split
from playwright.sync_api import Browser, Page, sync_playwright
from pytest_httpserver import HTTPServer

from registry.background import expiry
from saga_project import celery  # noqa: F401 - it knows the broker's address
from tests import webserver
from tests.browser import chromium, stage
from tests.browser.screenshots import DESKTOP, FOLDER, PHONE
from updates.models import Approval, Job
from webhooks.models import Configuration, Delivery, InboundCall

LOOKS = (
    ("light", DESKTOP, "desktop"),
    ("dark", DESKTOP, "desktop"),
    ("light", PHONE, "phone"),
    ("dark", PHONE, "phone"),
)
WHOLE_PAGES = 2400
#: The pictures of the README: page, theme, device; as much as the first look shows.
README = {
    ("dashboard", "light", "desktop"),
    ("canary", "light", "desktop"),
    ("service", "dark", "desktop"),
    ("dashboard", "dark", "phone"),
}


def addresses() -> dict[str, str]:
    """Return what is photographed, by the name of its file."""
    paused = Job.objects.get(status=Job.Status.PAUSED)
    bad = Job.objects.filter(status__in=[Job.Status.ROLLED_BACK, Job.Status.FAILED]).latest("pk")
    return {
        "dashboard": "/admin/",
        "start": "/admin/start/",
        "services": "/admin/registry/service/",
        "service": "/admin/services/checkout/",
        "deploy": "/admin/services/catalog/do/deploy/",
        "canary": f"/admin/deployments/{paused.job_id}/",
        "rolled-back": f"/admin/deployments/{bad.job_id}/",
        "deployments": "/admin/updates/job/",
        "approval": f"/admin/updates/approval/{Approval.objects.latest('pk').pk}/change/",
        "history": "/admin/updates/historyentry/",
        "policy": "/admin/updates/policy/add/",
        "target": "/admin/updates/target/add/",
        "configuration": f"/admin/webhooks/configuration/{Configuration.objects.get().pk}/change/",
        "inbound-call": f"/admin/webhooks/inboundcall/{InboundCall.objects.latest('received_at').pk}/change/",
        "deliveries": "/admin/webhooks/delivery/",
        "delivery": f"/admin/webhooks/delivery/{Delivery.objects.dead()[0].pk}/change/",
        "replay": "/admin/deliveries/replay/",
        "events": "/admin/registry/event/",
    }


def photograph(browser: Browser, url: str, wanted: set[str]) -> Iterator[str]:
    for theme, (width, height), device in LOOKS:
        context = browser.new_context(
            base_url=url,
            viewport={"width": width, "height": height},
            color_scheme=theme,  # type: ignore[arg-type]
            reduced_motion="reduce",
        )
        page = context.new_page()
        complaints = chromium.complaints_of(page)
        page.goto("/admin/login/")
        if not wanted or "login" in wanted:
            yield from _shoot(page, "login", theme, device)
        page.get_by_label("Username").fill("adam")
        page.get_by_label("Password").fill(stage.PASSWORD)
        page.get_by_role("button", name="Log in").click()
        page.wait_for_url("**/admin/")
        for name, address in addresses().items():
            if not wanted or name in wanted:
                expiry.sweep()
                page.goto(address)
                yield from _shoot(page, name, theme, device)
        yield from complaints
        context.close()


def _shoot(page: Page, name: str, theme: str, device: str) -> Iterator[str]:
    page.wait_for_load_state("networkidle")
    if (name, theme, device) in README:
        yield _keep(page, f"readme-{name}-{device}.png")
    height = min(page.evaluate("document.documentElement.scrollHeight"), WHOLE_PAGES)
    size = page.viewport_size or {"width": 0, "height": 0}
    page.set_viewport_size({"width": size["width"], "height": max(height, size["height"])})
    yield _keep(page, f"{name}-{theme}-{device}.png")
    page.set_viewport_size(size)


def _keep(page: Page, file_name: str) -> str:
    path = Path(FOLDER) / file_name
    page.screenshot(path=path)
    return f"{path.relative_to(Path.cwd())}: {path.stat().st_size // 1024} kB"


def main() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    with HTTPServer() as files, webserver.serving() as server, sync_playwright() as playwright:
        stage.everything(stage.Artifacts(files))
        server.post(
            "/api/v1/webhooks/health",
            json={"service_name": "search", "status": "degraded", "details": {"disk": "92 % full"}},
        )
        browser = chromium.launch(playwright)
        for line in photograph(browser, server.url, set(sys.argv[1:])):
            print(line, flush=True)
        browser.close()


if __name__ == "__main__":
    main()
