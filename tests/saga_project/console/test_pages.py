"""The console's pages: cheap, inert to hostile texts, and sent again only where they changed."""

from __future__ import annotations

import datetime as dt
import re

import pytest
from axes.models import AccessAttempt
from django.conf import settings
from django.contrib import admin
from django.contrib.auth.models import User
from django.test import Client, RequestFactory
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from registry.models import Event
from saga_project.console import deployments, login, navigation
from tests import factories
from tests.saga_project.console import rows
from tests.saga_project.console.conftest import Member
from updates.models import Job, Step

HOSTILE = {
    "script": "<script>alert(1)</script>",
    "attribute": '" onmouseover="alert(1)" x=\'',
    "formula": "=1+1",
    "template": "{{ settings.SECRET_KEY }}{% debug %}",
    "right to left": "abc\u202egpj.exe\u2066\u2069",
    "endless": "x" * 5000,
    "link": "javascript:alert(1)",
}
LISTS = [navigation.list_of(label) for _, entries in navigation.GROUPS for label, *_ in entries]
#: Session, person and groups; what a page asks for besides is its own.
QUERIES = {
    "dashboard": 25,
    "start": 10,
    "service": 42,
    "deployment": 15,
    "approval": 20,
    "inbound call": 12,
    "delivery": 12,
    "configuration": 12,
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_texts_from_outside_are_inert(text: str, member: Member, redis: object) -> None:
    made = rows.make(text)
    client = member("administrators")

    for address in (*made.pages().values(), *LISTS):
        page = client.get(address).content.decode()
        assert "<script>alert" not in page
        assert ' onmouseover="' not in page
        assert 'href="javascript:' not in page
        assert settings.SECRET_KEY not in page


@pytest.mark.parametrize("page", QUERIES)
def test_a_page_asks_a_bounded_number_of_queries(
    page: str, member: Member, redis: object, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    made, client = rows.make(), member("administrators")
    _many(made)

    with django_assert_max_num_queries(QUERIES[page]):
        assert client.get(made.pages()[page]).status_code == 200


def _many(made: rows.Rows) -> None:
    """More rows than any page shows, so that a query for each row would be noticed."""
    for number in range(30):
        factories.ServiceFactory.create(name=f"service-{number}")
        factories.HistoryEntryFactory.create(service_name=made.service.name)
    Event.objects.bulk_create(
        Event(
            type="health.changed",
            service_name=made.service.name,
            occurred_at=timezone.now() - dt.timedelta(minutes=number),
            data={"instance_id": "one", "old": "passing", "new": "warning"},
        )
        for number in range(200)
    )


def fragment(client: Client, address: str, digest: str = "") -> tuple[int, str, str]:
    """Ask as console.js does; return status, digest and text."""
    headers = {"X-Saga-Fragment": "live", "X-Saga-Digest": digest}
    response = client.get(address, headers=headers)
    return response.status_code, response.headers["X-Saga-Digest"], response.content.decode()


@pytest.mark.parametrize("page", ["dashboard", "deployment"])
def test_a_live_part_is_sent_only_where_it_changed(
    page: str, member: Member, redis: object
) -> None:
    made, client = rows.make(), member("viewers")
    address = made.pages()[page]

    status, digest, text = fragment(client, address)
    assert (status, "<html" in text) == (200, False)
    assert fragment(client, address, digest) == (204, digest, "")

    made.job.version = "1.2.0"
    made.job.save(update_fields=["version"])
    status, changed, text = fragment(client, address, digest)
    assert (status, "1.2.0" in text) == (200, True)
    assert changed != digest


def test_a_page_can_be_read_without_javascript(member: Member, redis: object) -> None:
    made = rows.make()

    page = member("viewers").get(made.pages()["service"]).content.decode()

    assert "2026-03-02 12:00:00 UTC" in page
    assert 'id="live"' in page
    assert "x-cloak" not in page.split("<body", 1)[0]


@pytest.mark.parametrize(
    "address",
    [
        "/admin/services/nobody/",
        "/admin/deployments/none/",
        "/admin/registry/service/abc/change/",
        "/admin/services/shop/do/explode/",
        "/admin/nowhere/",
    ],
)
def test_what_is_not_there_is_a_page_that_says_so(
    address: str, member: Member, redis: object
) -> None:
    rows.make()

    response = member("administrators").get(address)

    assert response.status_code == 404
    assert b"Not here" in response.content


def test_a_service_shows_what_could_run(member: Member, redis: object) -> None:
    made, client = rows.make(), member("viewers")
    address = made.pages()["service"]

    before = client.get(address).content.decode()
    factories.ReleaseFactory.create(service=made.service, version="1.4.0")
    after = client.get(address).content.decode()

    assert "<dt>Available</dt>" in before
    assert '<dd class="sg-version">nothing newer</dd>' in before
    assert '<dd class="sg-version">1.4.0</dd>' in after


def test_a_wave_shows_its_pause_after_its_targets() -> None:
    moves = [("share", ""), ("drain", "one"), ("undrain", "one"), ("pause", "")]
    job = Job(moves=[{"action": action, "target": name, "wave": 1} for action, name in moves])
    steps = [
        Step(name=action, target_name=name, move=place)
        for place, (action, name) in enumerate(moves)
    ]

    [wave] = deployments.waves_of(job, steps)

    assert [step.name for step in wave.before] == ["share"]
    assert [step.name for step in wave.lanes["one"].steps] == ["drain", "undrain"]
    assert [step.name for step in wave.after] == ["pause"]


def test_what_fields_mean_is_plain_text(rf: RequestFactory, admin_user: User) -> None:
    """The admin's templates treat it as HTML, where <this> is an invisible tag."""
    request = rf.get("/")
    request.user = admin_user
    said = {
        f"{model.__name__}.{name}": str(field.help_text)
        for model, pages in admin.site._registry.items()
        if model._meta.app_label in ("registry", "updates", "webhooks")
        for name, field in pages.get_form(request).base_fields.items()
    }

    assert said
    assert [name for name, text in said.items() if re.search("<[a-z/!]", text)] == []


def test_lists_lead_to_the_consoles_pages(member: Member, redis: object) -> None:
    made, client = rows.make(), member("viewers")

    service = client.get(f"/admin/registry/service/{made.service.pk}/change/")
    job = client.get(f"/admin/updates/job/{made.job.pk}/change/")

    assert service.headers["Location"] == "/admin/services/shop/"
    assert job.headers["Location"] == f"/admin/deployments/{made.job.job_id}/"


def test_the_policy_allows_nothing_inline(member: Member, redis: object) -> None:
    policy = member("viewers").get("/admin/").headers["Content-Security-Policy"]

    assert "unsafe" not in policy
    assert "default-src 'none'" in policy


def test_too_many_wrong_passwords_lock_the_name_out_for_a_while(db: None, redis: object) -> None:
    client = Client(SERVER_NAME="localhost")
    sent = {"username": "adam", "password": "wrong"}

    answers = [client.post("/admin/login/", sent).status_code for _ in range(6)]

    assert answers[:4] == [200] * 4
    assert answers[-1] == 429


def attempt(client: Client, address: str, *, name: str = "adam", forwarded_for: str = "") -> int:
    sent = {"username": name, "password": "wrong"}
    headers = {"X-Forwarded-For": forwarded_for} if forwarded_for else {}
    answer = client.post("/admin/login/", sent, headers=headers, REMOTE_ADDR=address)
    return answer.status_code


def test_a_forwarded_address_that_no_trusted_proxy_sent_does_not_delay_the_lockout(
    db: None, redis: object
) -> None:
    client = Client(SERVER_NAME="localhost")

    answers = [
        attempt(client, "203.0.113.9", forwarded_for=f"198.51.100.{number}") for number in range(6)
    ]

    assert answers[-1] == 429


def test_a_name_tried_from_many_addresses_is_locked(db: None, redis: object) -> None:
    for number in range(login.FAILURES_OF_NAME - 1):
        AccessAttempt.objects.create(
            username="adam", ip_address=f"198.51.100.{number}", failures_since_start=1
        )
    client = Client(SERVER_NAME="localhost")

    assert attempt(client, "198.51.100.200", name="eve") == 200
    assert attempt(client, "198.51.100.200") == 429


def test_a_form_without_its_secret_is_refused_on_a_page_of_the_console(
    db: None, redis: object
) -> None:
    client = Client(SERVER_NAME="localhost", enforce_csrf_checks=True)

    answer = client.post("/admin/login/", {"username": "adam", "password": "wrong"})

    assert answer.status_code == 403
    assert "Form not accepted" in answer.content.decode()
    assert "sg-failure" in answer.content.decode()


def test_cookies_are_secure_over_https_only(db: None, redis: object) -> None:
    for is_secure in (True, False):
        answer = Client(SERVER_NAME="localhost").get("/admin/login/", secure=is_secure)

        assert bool(answer.cookies["csrftoken"]["secure"]) is is_secure
