"""The stories that the console is for, played by a browser against a real server."""

from __future__ import annotations

import datetime as dt
import re
import time
from collections.abc import Callable

from django.contrib.auth.models import User
from django.utils import timezone
from playwright.sync_api import Browser, Page, expect
from pytest_httpserver import HTTPServer

import webhooks.operations
from registry.models import Service
from tests.browser import stage
from tests.browser.conftest import LogIn
from tests.browser.stage import Artifacts
from tests.saga_project.console import rows
from tests.webserver import WebServer
from updates.models import Approval, Freeze, Job, Policy
from webhooks.models import Configuration, Delivery


def press(page: Page, name: str) -> None:
    """Press a button, read what it will do, and confirm."""
    page.get_by_role("link", name=name, exact=True).click()
    expect(page.get_by_text("What will happen:")).to_be_visible()
    page.get_by_role("button", name=name, exact=True).click()


def test_staff_log_in_and_out(browser: Browser, people: dict[str, User], server: WebServer) -> None:
    context = browser.new_context(base_url=server.url)
    page = context.new_page()
    page.goto("/admin/updates/job/")
    page.get_by_label("Username").fill("vera")
    page.get_by_label("Password").fill(stage.PASSWORD)
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url("**/admin/updates/job/")

    page.locator(".sg-user summary").click()
    page.get_by_role("button", name="Log out").click()
    page.goto("/admin/updates/job/")
    expect(page.get_by_role("button", name="Log in")).to_be_visible()
    context.close()


def let_pass(page: Page, *, until: Callable[[], bool]) -> None:
    """Advance the page's clock, so that it polls at once, until it is so."""
    deadline = time.monotonic() + 60
    while not until():
        assert time.monotonic() < deadline, page.content()[:5000]
        page.clock.run_for(15_000)


def test_the_first_run_page_gives_way_to_the_dashboard_once_a_service_registered(
    log_in: LogIn, server: WebServer
) -> None:
    page = log_in("vera")
    expect(page.get_by_role("heading", name="Start here")).to_be_visible()

    command = page.locator("#snippet-register").inner_text()
    assert f"{server.url}/api/v1/services/register" in command
    answer = server.post(
        "/api/v1/services/register",
        json={
            "service_name": "hello",
            "service_url": "http://127.0.0.1:9000",
            "capabilities": ["rest"],
        },
    )

    assert answer.status_code == 200, answer.text
    expect(page.get_by_role("heading", name="Dashboard")).to_be_visible()
    expect(page.get_by_role("link", name="hello").first).to_be_visible()


def test_an_approver_approves_a_service(log_in: LogIn) -> None:
    stage.service("reports", status=Service.Status.PENDING_APPROVAL)
    page = log_in("anna")

    page.get_by_role("link", name=re.compile("is awaiting approval")).click()
    page.get_by_role("link", name="reports", exact=True).click()
    expect(page.get_by_text("Awaiting approval.")).to_be_visible()
    press(page, "Approve")

    expect(page.get_by_text("reports is approved")).to_be_visible()
    expect(page.get_by_text("Awaiting approval.")).to_have_count(0)
    assert Service.objects.get(name="reports").approved_by == "anna"


def test_an_approver_approves_all_that_wait_from_their_list(log_in: LogIn) -> None:
    for name in ("billing", "reports"):
        stage.service(name, status=Service.Status.PENDING_APPROVAL)
    page = log_in("anna")
    page.goto("/admin/registry/service/?state=pending")

    page.get_by_label("Select all rows").check()
    page.locator("select[name=action]").select_option("approve_services")
    page.get_by_role("button", name="Run").click()
    page.get_by_role("button", name="Approve").click()

    expect(page.get_by_text("reports: approved.")).to_be_visible()
    states = Service.objects.values_list("status", flat=True)
    assert set(states) == {Service.Status.ACTIVE}


def test_an_operator_watches_a_canary_and_promotes_it(log_in: LogIn, artifacts: Artifacts) -> None:
    stage.service("shop", instances=2)
    stage.targets("shop", 2)
    for version in ("1.0.0", "1.1.0"):
        artifacts.announce("shop", version)
    stage.deploy("shop", "1.0.0")
    page = log_in("otto")
    page.goto("/admin/services/shop/")

    page.get_by_role("link", name="Deploy", exact=True).click()
    page.get_by_label("Version").select_option("1.1.0")
    page.get_by_label("Strategy").select_option("canary")
    page.get_by_role("button", name="Deploy").click()
    expect(page.get_by_text("waits for a worker")).to_be_visible()
    job = Job.objects.get(version="1.1.0")
    stage.work(job)

    # The page updates without a reload.
    expect(page.get_by_text("Paused.", exact=True)).to_be_visible()
    expect(page.get_by_role("heading", name="Wave 1")).to_be_visible()
    press(page, "Promote")
    expect(page.get_by_text(f"{job.job_id} goes on.")).to_be_visible()
    stage.work(job)
    expect(page.locator(".sg-head .sg-badge", has_text="succeeded")).to_be_visible()
    expect(page.get_by_role("link", name="Promote")).to_have_count(0)


def test_a_refusal_keeps_what_was_entered_and_shows_times_of_the_reader(
    log_in: LogIn, artifacts: Artifacts
) -> None:
    shop = stage.service("shop")
    stage.targets("shop", 1)
    artifacts.announce("shop", "1.0.0")
    today = timezone.now().date()
    Freeze.objects.create(
        service=shop,
        name="holidays",
        starts_on=today,
        ends_on=today + dt.timedelta(days=3),
    )
    page = log_in("adam")
    page.goto("/admin/services/shop/do/deploy/")
    page.get_by_label("Strategy").select_option("canary")
    page.get_by_role("button", name="Deploy").click()

    refusal = page.locator(".errornote", has_text="may not be changed until")
    expect(refusal.locator("time")).to_have_attribute("title", re.compile("00:00:00 UTC$"))
    expect(refusal).not_to_contain_text("T00:00:00Z")
    expect(page.get_by_label("Strategy")).to_have_value("canary")


def test_a_bad_release_is_seen_to_roll_back(log_in: LogIn, artifacts: Artifacts) -> None:
    stage.service("shop", instances=2)
    stage.targets("shop", 2, health_url=artifacts.sickened_by("1.1.0"))
    for version in ("1.0.0", "1.1.0"):
        artifacts.announce("shop", version)
    stage.deploy("shop", "1.0.0", max_unavailable=1)
    page = log_in("otto")
    job = stage.deploy("shop", "1.1.0", by="otto", max_unavailable=1)

    page.goto(f"/admin/deployments/{job.job_id}/")

    expect(page.get_by_role("heading", name="Rollback")).to_be_visible()
    expect(page.locator(".sg-step", has_text="health").first).to_contain_text("503")
    expect(page.locator(".sg-head .sg-badge", has_text="rolled back")).to_be_visible()


def test_an_administrator_configures_a_channel_and_sends_a_test(
    log_in: LogIn, httpserver: HTTPServer
) -> None:
    stage.service("shop")
    httpserver.expect_request("/ops").respond_with_data("thank you")
    page = log_in("adam")

    page.goto("/admin/webhooks/configuration/add/?service=shop")
    page.get_by_label("Channel 1").fill("ops")
    page.get_by_label("URL 1").fill(httpserver.url_for("/ops"))
    page.get_by_label("Replace it with").check()
    page.get_by_label("New secret").fill("whisper it to nobody")
    page.get_by_role("button", name="Keep this").click()
    expect(page.get_by_text("secret set")).to_be_visible()
    page.get_by_role("link", name="Send a test to ops").click()
    page.get_by_role("button", name="Send a test").click()

    expect(page.get_by_text("The receiver took it.")).to_be_visible()
    expect(page.locator(".sg-badge", has_text="delivered")).to_be_visible()
    assert "whisper" not in page.content()
    assert Configuration.objects.get(service__name="shop").sealed_secret


def test_an_operator_sends_dead_deliveries_again_after_a_preview(log_in: LogIn) -> None:
    rows = [stage.dead_delivery("http://127.0.0.1:9/ops") for _ in range(3)]
    stage.service("billing")
    page = log_in("otto")

    page.get_by_role("link", name=re.compile("deliveries are dead")).click()
    page.get_by_role("link", name="Send dead ones again").click()
    expect(page.get_by_role("heading", name="3 dead deliveries")).to_be_visible()
    expect(page.get_by_text("3 to http://127.0.0.1:9")).to_be_visible()
    page.get_by_role("button", name="Send 3 again").click()

    expect(page.get_by_text("3 deliveries are on their way again.")).to_be_visible()
    states = Delivery.objects.filter(pk__in=[row.pk for row in rows]).values_list(
        "status", flat=True
    )
    assert set(states) == {"pending"}


def test_an_inbound_call_shows_its_verdict_and_is_replayed(
    log_in: LogIn, server: WebServer
) -> None:
    stage.service("shop")
    answer = server.post(
        "/api/v1/webhooks/health", json={"service_name": "shop", "status": "degraded"}
    )
    assert answer.status_code == 200, answer.text
    page = log_in("otto")

    page.goto("/admin/webhooks/inboundcall/")
    page.get_by_role("link", name="health", exact=True).first.click()
    expect(page.get_by_text('"status": "degraded"')).to_be_visible()
    press(page, "Replay")

    expect(page.get_by_text("The call was acted on again: 200.")).to_be_visible()


def test_two_persons_decide_on_a_deployment(log_in: LogIn, artifacts: Artifacts) -> None:
    shop = stage.service("shop")
    artifacts.announce("shop", "1.1.0")
    Policy.objects.create(service=shop, requires_second_person=True)
    asker = log_in("anna")
    asker.goto("/admin/services/shop/")
    press(asker, "Ask to deploy")
    expect(asker.locator(".sg-hint", has_text="another person must approve it")).to_be_visible()
    expect(asker.get_by_role("link", name="Approve")).to_have_attribute("aria-disabled", "true")

    other = log_in("adam")
    other.goto(f"/admin/updates/approval/{Approval.objects.get().pk}/change/")
    press(other, "Approve")

    expect(other.get_by_text("shop 1.1.0 is approved.")).to_be_visible()
    job = Job.objects.get(version="1.1.0")
    assert job.requested_by == "anna, approved by adam"


def test_a_viewer_finds_no_button(log_in: LogIn, artifacts: Artifacts) -> None:
    stage.service("shop", instances=2)
    stage.targets("shop", 2)
    artifacts.announce("shop", "1.0.0")
    job = stage.deploy("shop", "1.0.0", strategy="canary", auto_promote=False)
    delivery = stage.dead_delivery("http://127.0.0.1:9/ops", name="shop")
    webhooks.operations.configure(
        "shop",
        endpoints={"ops": "http://127.0.0.1:9/a-secret-path"},
        secret="a secret shown nowhere",
        now=timezone.now(),
    )
    page = log_in("vera")

    for address in (
        "/admin/services/shop/",
        f"/admin/deployments/{job.job_id}/",
        f"/admin/webhooks/delivery/{delivery.pk}/change/",
        f"/admin/webhooks/configuration/{Configuration.objects.get().pk}/change/",
    ):
        page.goto(address)
        expect(page.locator("#content")).to_be_visible()
        expect(page.locator("#content .sg-actions")).to_have_count(0)
        expect(page.locator("#content form")).to_have_count(0)
        assert "a-secret-path" not in page.content()


def test_a_page_goes_on_after_an_outage_without_being_reloaded(log_in: LogIn) -> None:
    shop = stage.service("shop")
    page = log_in("vera")
    page.clock.install()
    page.goto("/admin/services/shop/")
    line, version = page.locator("#sg-connection"), page.locator(".sg-head .sg-version")

    page.context.set_offline(True)
    let_pass(page, until=lambda: line.inner_text() == "Saga does not answer; trying again")
    Service.objects.filter(pk=shop.pk).update(version="9.9.9")
    page.context.set_offline(False)
    let_pass(page, until=lambda: version.inner_text() == "9.9.9")

    expect(line).to_have_text("Live")


def test_a_page_survives_a_restart_of_the_server(log_in: LogIn, server: WebServer) -> None:
    shop = stage.service("shop")
    page = log_in("vera")
    page.clock.install()
    page.goto("/admin/services/shop/")
    page.evaluate("window.isTheSamePage = true")

    server.restart()
    Service.objects.filter(pk=shop.pk).update(version="9.9.9")
    let_pass(page, until=lambda: page.locator(".sg-head .sg-version").inner_text() == "9.9.9")

    assert page.evaluate("window.isTheSamePage")


def test_what_the_reader_folded_stays_folded(log_in: LogIn) -> None:
    made = rows.make()
    page = log_in("vera")
    page.clock.install()
    page.goto(made.pages()["deployment"])
    wave = page.locator("#wave-1")
    wave.locator("summary").press("Enter")

    Job.objects.filter(pk=made.job.pk).update(version="9.9.9")
    let_pass(page, until=lambda: "9.9.9" in page.locator(".sg-head .sg-version").inner_text())

    expect(wave).to_have_js_property("open", False)


def test_a_hidden_tab_asks_for_nothing(log_in: LogIn) -> None:
    stage.service("shop")
    page = log_in("vera")
    page.clock.install()
    page.goto("/admin/services/shop/")
    asked: list[str] = []
    page.on(
        "request", lambda request: asked.append(request.url) if "/admin/" in request.url else None
    )

    page.evaluate("Object.defineProperty(document, 'hidden', {value: true, configurable: true})")
    page.clock.run_for(60_000)
    assert asked == []

    with page.expect_request("**/admin/services/shop/"):
        page.evaluate(
            "delete document.hidden; document.dispatchEvent(new Event('visibilitychange'))"
        )
        page.clock.run_for(10_000)
