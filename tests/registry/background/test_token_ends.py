"""Tokens that end soon are reported once."""

from __future__ import annotations

import datetime as dt

import pytest
from django.utils import timezone

from registry.background import token_ends
from registry.identity import accounts
from registry.models import Event, Token

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_token_that_ends_within_two_weeks_is_reported_once() -> None:
    now = timezone.now()
    account = accounts.ensure_account("ci", scopes=["services:read"])
    for name, ends in {
        "soon": now + dt.timedelta(days=13),
        "later": now + dt.timedelta(days=15),
        "over": now - dt.timedelta(days=1),
        "never": None,
        "revoked": now + dt.timedelta(days=1),
    }.items():
        token, _ = accounts.issue_token(account, scopes=["services:read"], name=name)
        revoked_at = now if name == "revoked" else None
        Token.objects.filter(pk=token.pk).update(expires_at=ends, revoked_at=revoked_at)

    counts = [token_ends.warn(), token_ends.warn()]

    assert counts == [1, 0]
    event = Event.objects.get()
    assert (event.type, event.data["name"], event.data["account"]) == (
        "token.expires",
        "soon",
        "ci",
    )
