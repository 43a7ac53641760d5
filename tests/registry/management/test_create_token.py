from __future__ import annotations

import datetime as dt
import io

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from registry.identity import accounts
from registry.models import ServiceAccount, Token

pytestmark = pytest.mark.django_db


def create(*arguments: str) -> str:
    out = io.StringIO()
    call_command("create_token", *arguments, stdout=out, stderr=io.StringIO())
    return out.getvalue()


def test_prints_the_token_alone() -> None:
    printed = create("ci", "--scopes", "services:read,updates:read")

    caller = accounts.recognise(printed.removesuffix("\n"), now=timezone.now())
    assert caller.account.name == "ci"
    assert caller.scopes == {"services:read", "updates:read"}


def test_makes_an_internal_account_that_may_touch_some_services_only() -> None:
    create("ci", "--scopes", "registry:manage", "--internal", "--services", "billing,mail")

    account = ServiceAccount.objects.get()
    assert account.is_internal
    assert account.services == ["billing", "mail"]


def test_leaves_what_an_account_may_touch_where_nothing_is_said_of_it() -> None:
    create("ci", "--scopes", "registry:manage", "--internal", "--services", "billing")

    create("ci", "--scopes", "services:read")

    account = ServiceAccount.objects.get()
    assert account.is_internal
    assert account.services == ["billing"]
    assert account.scopes == ["registry:manage", "services:read"]


@pytest.mark.parametrize(
    ("text", "lifetime"),
    [
        ("90d", dt.timedelta(days=90)),
        ("12h", dt.timedelta(hours=12)),
        ("30m", dt.timedelta(minutes=30)),
        ("2w", dt.timedelta(weeks=2)),
    ],
)
def test_a_token_expires_when_it_is_said_to(text: str, lifetime: dt.timedelta) -> None:
    before = timezone.now()

    create("ci", "--scopes", "services:read", "--expires", text)

    expires_at = Token.objects.get().expires_at
    assert expires_at is not None
    assert before + lifetime <= expires_at <= timezone.now() + lifetime


@pytest.mark.parametrize(
    "arguments",
    [
        ["ci"],
        ["ci", "--scopes", ""],
        ["ci", "--scopes", "root"],
        ["c i", "--scopes", "services:read"],
        ["ci", "--scopes", "services:read", "--services", "not a name"],
        ["ci", "--scopes", "services:read", "--expires", "soon"],
        ["ci", "--scopes", "services:read", "--expires", "0d"],
        ["ci", "--scopes", "services:read", "--expires", "-1d"],
        ["ci", "--scopes", "services:read", "--expires", "99999w"],
    ],
)
def test_refuses_what_makes_no_sense_and_makes_nothing(arguments: list[str]) -> None:
    with pytest.raises(CommandError):
        create(*arguments)

    assert not ServiceAccount.objects.exists()
    assert not Token.objects.exists()
