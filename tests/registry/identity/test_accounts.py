from __future__ import annotations

import datetime as dt
import hashlib
import logging

import pytest
from django.db import OperationalError, connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from registry import errors
from registry.identity import accounts
from registry.models import Service, ServiceAccount, Token
from saga_project.shared.errors import DatabaseUnavailable

pytestmark = pytest.mark.django_db

NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


def make_account(
    name: str = "ci", *, scopes: tuple[str, ...] = ("services:read",)
) -> ServiceAccount:
    return accounts.ensure_account(name, scopes=scopes)


def make_token(account: ServiceAccount, **options: object) -> tuple[Token, str]:
    return accounts.issue_token(account, scopes=account.scopes, **options)  # type: ignore[arg-type]


def make_service(name: str, *, account: ServiceAccount | None = None) -> Service:
    return Service.objects.create(name=name, account=account, registered_at=NOW, updated_at=NOW)


# --- Tokens ---------------------------------------------------------------------------------------


def test_keeps_the_digest_of_a_token_and_never_its_text() -> None:
    token, text = make_token(make_account())

    stored = Token.objects.values().get(pk=token.pk)
    assert stored["digest"] == hashlib.sha256(text.encode()).hexdigest()
    assert stored["prefix"] == text[:12]
    assert text not in str(stored)


def test_logs_the_prefix_of_a_token_and_not_the_rest(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)

    token, text = make_token(make_account())

    assert caplog.records[-1].__dict__["prefix"] == token.prefix
    assert text not in str([record.__dict__ for record in caplog.records])


def test_recognises_a_token_with_its_account_and_scopes() -> None:
    account = make_account(scopes=("services:read", "updates:read"))
    _, text = accounts.issue_token(account, scopes=["updates:read"])

    caller = accounts.recognise(text, now=NOW)

    assert caller.account == account
    assert caller.scopes == {"updates:read"}


def test_refuses_an_unknown_token() -> None:
    with pytest.raises(errors.TokenRefused):
        accounts.recognise("saga_unknown", now=NOW)


def test_refuses_a_token_that_is_changed_in_one_character() -> None:
    _, text = make_token(make_account())
    other = text[:-1] + ("A" if text[-1] != "A" else "B")

    with pytest.raises(errors.TokenRefused):
        accounts.recognise(other, now=NOW)


def test_refuses_a_token_from_the_moment_it_expires() -> None:
    _, text = make_token(make_account(), expires_at=NOW)

    assert accounts.recognise(text, now=NOW - dt.timedelta(microseconds=1))
    with pytest.raises(errors.TokenRefused, match="expired"):
        accounts.recognise(text, now=NOW)


def test_refuses_a_revoked_token() -> None:
    token, text = make_token(make_account())

    assert accounts.revoke_token(token, at=NOW)

    with pytest.raises(errors.TokenRefused, match="revoked"):
        accounts.recognise(text, now=NOW)


def test_revoking_twice_keeps_the_first_time() -> None:
    token, _ = make_token(make_account())
    accounts.revoke_token(token, at=NOW)

    assert not accounts.revoke_token(token, at=NOW + dt.timedelta(days=1))

    token.refresh_from_db()
    assert token.revoked_at == NOW


def test_refuses_the_tokens_of_an_account_that_is_switched_off() -> None:
    account = make_account()
    _, text = make_token(account)
    ServiceAccount.objects.update(is_active=False)

    with pytest.raises(errors.TokenRefused, match="switched off"):
        accounts.recognise(text, now=NOW)


def test_a_token_loses_the_scopes_that_its_account_loses() -> None:
    account = make_account(scopes=("services:read", "updates:read"))
    _, text = make_token(account)
    ServiceAccount.objects.update(scopes=["updates:read"])

    assert accounts.recognise(text, now=NOW).scopes == {"updates:read"}


def test_gives_a_token_no_scope_that_its_account_lacks() -> None:
    with pytest.raises(errors.ScopeNotGranted, match="updates:deploy"):
        accounts.issue_token(make_account(), scopes=["services:read", "updates:deploy"])

    assert not Token.objects.exists()


def test_gives_a_token_no_scope_that_there_is_not() -> None:
    with pytest.raises(errors.UnknownScope, match="root"):
        accounts.issue_token(make_account(), scopes=["root"])


def test_writes_the_last_use_at_most_once_a_minute() -> None:
    token, text = make_token(make_account())
    accounts.recognise(text, now=NOW)
    with CaptureQueriesContext(connection) as queries:
        accounts.recognise(text, now=NOW + dt.timedelta(seconds=59))
    assert len(queries) == 1

    accounts.recognise(text, now=NOW + dt.timedelta(seconds=60))

    token.refresh_from_db()
    assert token.last_used_at == NOW + dt.timedelta(seconds=60)


# --- Without the database -------------------------------------------------------------------------


@pytest.fixture
def outage(monkeypatch: pytest.MonkeyPatch) -> None:
    """PostgreSQL as a client sees it that cannot reach it; only this module's questions are asked."""

    def refuse(*args: object, **kwargs: object) -> None:
        raise OperationalError("connection refused")

    monkeypatch.setattr(connection, "cursor", refuse)
    monkeypatch.setattr(accounts, "_memory", accounts._Memory(accounts._memory.confirmed))


def test_trusts_a_token_that_was_confirmed_before_the_database_went(
    request: pytest.FixtureRequest,
) -> None:
    _, text = make_token(make_account(), expires_at=NOW)
    before = NOW - dt.timedelta(minutes=1)
    accounts.recognise(text, now=before)
    request.getfixturevalue("outage")

    assert accounts.recognise(text, now=before).account.name == "ci"
    with pytest.raises(DatabaseUnavailable):
        accounts.recognise(text, now=NOW)


def test_unknown_token_is_rejected_without_the_database(outage: None) -> None:
    with pytest.raises(DatabaseUnavailable):
        accounts.recognise("saga_never_seen", now=NOW)


def test_revoked_token_is_rejected_without_the_database(
    request: pytest.FixtureRequest,
) -> None:
    _, text = make_token(make_account())
    accounts.recognise(text, now=NOW)
    Token.objects.update(revoked_at=NOW)
    with pytest.raises(errors.TokenRefused):
        accounts.recognise(text, now=NOW)
    request.getfixturevalue("outage")

    with pytest.raises(DatabaseUnavailable):
        accounts.recognise(text, now=NOW)


def recalled(text: str) -> accounts.Caller | None:
    return accounts.lookup(accounts.digest_of(text), within_seconds=60, ask_again_seconds=60)


def test_recalls_a_token_that_was_confirmed_a_moment_ago_without_a_query() -> None:
    token, text = make_token(make_account())
    caller = accounts.recognise(text, now=timezone.now())

    with CaptureQueriesContext(connection) as queries:
        assert recalled(text) == caller
    assert len(queries) == 0

    accounts.revoke_token(token, at=timezone.now())
    assert recalled(text) is None


def test_recalls_no_token_that_has_expired() -> None:
    _, text = make_token(make_account(), expires_at=NOW)
    accounts.recognise(text, now=NOW - dt.timedelta(seconds=1))

    assert recalled(text) is None


# --- Accounts -------------------------------------------------------------------------------------


def test_ensuring_an_account_again_adds_to_its_scopes_and_makes_no_second_one() -> None:
    make_account("ci", scopes=("services:read",))

    account = make_account("ci", scopes=("updates:read", "services:read"))

    assert account.scopes == ["services:read", "updates:read"]
    assert ServiceAccount.objects.count() == 1


@pytest.mark.parametrize("name", ["", "a b", "oidc:ci", "ci\x00", "ü", "x" * 129])
def test_refuses_an_account_name_that_is_none(name: str) -> None:
    with pytest.raises(errors.InvalidAccountName):
        make_account(name)


# --- Ownership of services ------------------------------------------------------------------------


def caller(
    name: str, *scopes: str, services: tuple[str, ...] = (), is_super: bool = False
) -> accounts.Caller:
    account, _ = ServiceAccount.objects.update_or_create(
        name=name, defaults={"services": list(services)}
    )
    return accounts.Caller(account=account, scopes=frozenset(scopes), is_super=is_super)


def test_anyone_may_change_a_service_that_is_nobodys() -> None:
    make_service("free")

    accounts.check_may_change_named(None, "free")
    accounts.check_may_change_named(caller("ci"), "free")
    accounts.check_may_change_named(None, "not-registered-yet")


def test_only_its_account_may_change_a_service_that_belongs_to_one() -> None:
    owner = caller("owner")
    make_service("owned", account=owner.account)

    accounts.check_may_change_named(owner, "owned")
    for other in (None, caller("other", "registry:manage")):
        with pytest.raises(errors.ServiceOwned):
            accounts.check_may_change_named(other, "owned")


def test_an_administrator_may_change_any_service() -> None:
    make_service("owned", account=caller("owner").account)

    accounts.check_may_change_named(caller("chief", "admin:registry"), "owned")
    accounts.check_may_change_named(caller("root", is_super=True), "owned")


def test_an_account_with_a_list_of_services_may_change_no_other() -> None:
    bound = caller("bound", services=("listed",))

    accounts.check_may_change_named(bound, "listed")
    with pytest.raises(errors.ServiceNotGranted):
        accounts.check_may_change_named(bound, "unlisted")


def test_a_list_of_services_does_not_make_another_accounts_service_ones_own() -> None:
    make_service("owned", account=caller("owner").account)

    with pytest.raises(errors.ServiceOwned):
        accounts.check_may_change_named(caller("bound", services=("owned",)), "owned")


def test_the_scope_for_administrators_holds_all_others() -> None:
    assert caller("chief", "admin:registry").has_scope("updates:deploy")
    assert caller("root", is_super=True).has_scope("updates:deploy")
    assert not caller("ci", "updates:read").has_scope("updates:deploy")
