"""Clients of the API within a test, and the headers of their tokens."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.test import TestCase
from rest_framework.test import APIClient

from registry.identity import accounts

Headers = dict[str, str]
Answer = Any  # what a test client returns has a json() that no stub knows
Bearer = Callable[..., Headers]


class CommittingClient(APIClient):
    """Does after each request what its commit would have done, inside the transaction of a test."""

    def request(self, **kwargs: Any) -> Any:
        with TestCase.captureOnCommitCallbacks(execute=True):
            return super().request(**kwargs)


def bearer(
    *scopes: str,
    account: str = "ci",
    is_internal: bool = False,
    services: list[str] | None = None,
) -> Headers:
    """Return the header of a new token of the account."""
    row = accounts.ensure_account(
        account, scopes=scopes, is_internal=is_internal, services=services
    )
    _, text = accounts.issue_token(row, scopes=scopes)
    return {"Authorization": f"Bearer {text}"}
