"""The page of a person's own tokens."""

from __future__ import annotations

import re

import pytest

from registry.identity import accounts
from registry.models import Token
from tests.saga_project.console.conftest import Member

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis")]

PAGE = "/admin/tokens/"
SENT = {"name": "laptop", "days": "30", "scopes": ["services:read"]}


def test_a_person_issues_a_token_that_is_shown_once(member: Member) -> None:
    client = member("viewers")

    shown = client.post(PAGE, SENT)
    again = client.get(PAGE).content.decode()

    [text] = re.findall(r"saga_[A-Za-z0-9_-]{43}", shown.content.decode())
    assert "no-store" in shown["Cache-Control"]
    assert text not in again
    assert "laptop" in again
    token = Token.objects.get()
    assert (str(token.account.person), token.digest) == (
        "one-of-viewers",
        accounts.digest_of(text),
    )


def test_the_page_offers_the_scopes_of_the_role_only(member: Member) -> None:
    client = member("viewers")

    assert "updates:deploy" not in client.get(PAGE).content.decode()
    client.post(PAGE, {**SENT, "scopes": ["updates:deploy"]})
    client.post(PAGE, {**SENT, "days": "4000"})
    client.post(PAGE, {**SENT, "name": ""})
    assert not Token.objects.exists()


def test_a_person_revokes_its_own_tokens_and_no_others(member: Member) -> None:
    otto, vera = member("operators"), member("viewers")
    otto.post(PAGE, SENT)
    token = Token.objects.get()

    assert vera.post(f"{PAGE}{token.pk}/revoke/").status_code == 404
    assert otto.get(f"{PAGE}{token.pk}/revoke/").status_code == 405
    assert otto.post(f"{PAGE}{token.pk}/revoke/").status_code == 302
    token.refresh_from_db()
    assert token.revoked_at is not None
