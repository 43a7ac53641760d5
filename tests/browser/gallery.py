"""Every page worth a picture, light and dark, on a desk and on a phone."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from saga_project import wsgi  # noqa: F401 - sets Django up, before anything imports its models

# isort: split
from django.apps import apps
from django.conf import settings
from django.contrib import admin
from django.contrib.auth.models import User
from django.test import RequestFactory
from playwright.sync_api import Browser, Page, sync_playwright
from pytest_httpserver import HTTPServer

from registry.background import expiry
from saga_project import celery  # noqa: F401 - it knows the broker's address
from saga_project.console import navigation
from saga_project.local import queues
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


#: Pages that differ by role, and a person of each role other than the administrators.
BY_ROLE = ("dashboard", "service", "canary", "approval", "configuration")
ROLES = {"viewer": "vera", "operator": "otto", "approver": "anna"}


def addresses() -> dict[str, str]:
    """Return every page by the name of its file: those of our own, each list, and what adds a row."""
    return {**_lists(), **_own()}


def _lists() -> dict[str, str]:
    """Return the lists of the sidebar, and the forms by which the administrator adds a row."""
    factory = RequestFactory()
    request = factory.get("/admin/")
    request.user = User.objects.get(username="adam")
    found = {}
    for _, entries in navigation.GROUPS:
        for label, title, _icon in entries:
            model = apps.get_model(label)
            if not admin.site.is_registered(model):
                continue
            if not admin.site.get_model_admin(model).has_view_permission(request):
                continue
            name = title.lower().replace(" ", "-")
            found[f"list-{name}"] = navigation.list_of(label)
            if admin.site.get_model_admin(model).has_add_permission(request):
                found[f"add-{name}"] = f"{navigation.list_of(label)}add/"
    return found


def _own() -> dict[str, str]:
    paused = Job.objects.get(status=Job.Status.PAUSED)
    bad = Job.objects.filter(status__in=[Job.Status.ROLLED_BACK, Job.Status.FAILED]).latest("pk")
    return {
        "dashboard": "/admin/",
        "start": "/admin/start/",
        "own-tokens": "/admin/tokens/",
        "second-factor": "/admin/second-factor/",
        "service": "/admin/services/checkout/",
        "deploy": "/admin/services/catalog/do/deploy/",
        "canary": f"/admin/deployments/{paused.job_id}/",
        "rolled-back": f"/admin/deployments/{bad.job_id}/",
        "approval": f"/admin/updates/approval/{Approval.objects.latest('pk').pk}/change/",
        "configuration": f"/admin/webhooks/configuration/{Configuration.objects.get().pk}/change/",
        "inbound-call": f"/admin/webhooks/inboundcall/{InboundCall.objects.latest('received_at').pk}/change/",
        "delivery": f"/admin/webhooks/delivery/{Delivery.objects.dead()[0].pk}/change/",
        "replay": "/admin/deliveries/replay/",
        "connect-source": "/admin/sources/connect/",
        "configure": "/admin/webhooks/configuration/add/",
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
        _log_in(page, "adam")
        for name, address in addresses().items():
            if not wanted or name in wanted:
                _stand_in_for_programs()
                page.goto(address)
                yield from _shoot(page, name, theme, device)
        yield from complaints
        context.close()


def photograph_roles(browser: Browser, url: str, wanted: set[str]) -> Iterator[str]:
    """Photograph the pages that show each role something else, once, on a desk."""
    width, height = DESKTOP
    for role, person in ROLES.items():
        context = browser.new_context(
            base_url=url, viewport={"width": width, "height": height}, reduced_motion="reduce"
        )
        page = context.new_page()
        page.goto("/admin/login/")
        _log_in(page, person)
        for name in BY_ROLE:
            if not wanted or name in wanted:
                _stand_in_for_programs()
                page.goto(addresses()[name])
                yield from _shoot(page, f"{name}-as-{role}", "light", "desktop")
        context.close()


def _stand_in_for_programs() -> None:
    """Do what sweeps and workers would, which do not run here: pages would complain that they are silent."""
    expiry.sweep()
    queues.note_consumer(["updates", "webhooks", f"node.{settings.SAGA_NODE_NAME}"])


def _log_in(page: Page, person: str) -> None:
    page.get_by_label("Username").fill(person)
    page.get_by_label("Password").fill(stage.PASSWORD)
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url("**/admin/")


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
        for line in photograph_roles(browser, server.url, set(sys.argv[1:])):
            print(line, flush=True)
        browser.close()


if __name__ == "__main__":
    main()
