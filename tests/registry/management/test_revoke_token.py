from __future__ import annotations

import io

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from registry import errors
from registry.identity import accounts
from registry.models import Token

pytestmark = pytest.mark.django_db


def revoke(prefix: str) -> str:
    said = io.StringIO()
    call_command("revoke_token", prefix, stderr=said)
    return said.getvalue()


def issue() -> str:
    account = accounts.ensure_account("ci", scopes=["services:read"])
    return accounts.issue_token(account, scopes=["services:read"])[1]


def test_ends_the_token_that_begins_with_the_prefix_and_no_other() -> None:
    ended, other = issue(), issue()

    revoke(ended[:12])

    with pytest.raises(errors.TokenRefused):
        accounts.recognise(ended, now=timezone.now())
    assert accounts.recognise(other, now=timezone.now())


def test_says_that_a_token_was_revoked_before() -> None:
    text = issue()
    revoke(text[:12])

    assert "before" in revoke(text[:12])


def test_refuses_a_prefix_that_no_token_has_and_repeats_no_token() -> None:
    text = issue()

    with pytest.raises(CommandError) as refusal:
        revoke(text)

    assert text not in str(refusal.value)
    assert not Token.objects.filter(revoked_at__isnull=False).exists()
