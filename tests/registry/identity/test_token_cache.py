"""Tokens that need not be asked about, and every way in which they stop being good."""

from __future__ import annotations

import asyncio
import datetime as dt
import types
from collections.abc import Callable

import pytest
from django.db import OperationalError, connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from registry.identity import accounts, token_cache, token_uses
from registry.identity.accounts import Caller
from registry.identity.token_cache import VerifiedTokens
from registry.models import CallersRevision, ServiceAccount, Token

pytestmark = pytest.mark.django_db(transaction=True)

WITHIN_SECONDS = 0.9
ASK_AGAIN_SECONDS = 0.4


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(token_cache, "time", types.SimpleNamespace(monotonic=clock))
    return clock


def make_token(name: str = "ci") -> Token:
    account = accounts.ensure_account(name, scopes=["services:read", "updates:read"])
    return accounts.issue_token(account, scopes=account.scopes)[0]


def caller_of(token: Token) -> Caller:
    return Caller(account=token.account, token=token, scopes=frozenset(token.scopes))


def known(*, is_local: bool = True) -> tuple[VerifiedTokens[Caller], Caller]:
    """Return a memory that knows the revision, and the token "a" confirmed under it."""
    memory: VerifiedTokens[Caller] = VerifiedTokens()
    caller = caller_of(make_token())
    memory.remember("first", caller, memory.now(), is_local=True)
    memory.look()
    memory.remember("a", caller, memory.now(), is_local=is_local)
    return memory, caller


def lookup(memory: VerifiedTokens[Caller], digest: str = "a") -> Caller | None:
    return memory.lookup(digest, within_seconds=WITHIN_SECONDS, ask_again_seconds=ASK_AGAIN_SECONDS)


# --- The revision ---------------------------------------------------------------------------------


CHANGES: dict[str, Callable[[Token], object]] = {
    "revoked": lambda token: accounts.revoke_token(token, at=timezone.now()),
    "ended earlier": lambda token: Token.objects.update(expires_at=timezone.now()),
    "fewer scopes": lambda token: Token.objects.filter(pk=token.pk).update(scopes=[]),
    "deleted": lambda token: token.delete(),
    "account switched off": lambda token: ServiceAccount.objects.update(is_active=False),
    "account with fewer scopes": lambda token: ServiceAccount.objects.update(scopes=[]),
    "account with other services": lambda token: ServiceAccount.objects.update(services=["x"]),
    "account deleted": lambda token: token.account.delete(),
    "table emptied": lambda token: run(f"TRUNCATE {Token._meta.db_table}"),
    "by hand": lambda token: run(f"UPDATE {Token._meta.db_table} SET revoked_at = now()"),
}


def run(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_the_revision_is_another_one_after_each_change(change: Callable[[Token], object]) -> None:
    token = make_token()
    revisions = {CallersRevision.current()}

    change(token)
    revisions.add(CallersRevision.current())
    ServiceAccount.objects.create(name="other").delete()
    revisions.add(CallersRevision.current())

    assert len(revisions) == 3


def test_the_revision_stays_while_tokens_are_made_and_used() -> None:
    token = make_token()
    before = CallersRevision.current()

    accounts.issue_token(token.account, scopes=[])
    Token.objects.update(last_used_at=timezone.now(), name="renamed")

    assert CallersRevision.current() == before


def test_many_changes_in_one_transaction_make_one_new_revision_when_it_commits() -> None:
    for number in range(20):
        make_token(f"ci-{number}")
    before = CallersRevision.current()

    with transaction.atomic():
        Token.objects.update(revoked_at=timezone.now())
        assert CallersRevision.current() == before

    assert CallersRevision.current() != before
    assert CallersRevision.objects.count() == 1


# --- Recalling ------------------------------------------------------------------------------------


def test_a_token_stays_good_without_a_question_of_its_own_as_long_as_nothing_changes(
    clock: Clock,
) -> None:
    memory, caller = known()

    for _ in range(100):
        clock.now += 30
        with CaptureQueriesContext(connection) as queries:
            memory.look()
        assert len(queries) == 1
        assert lookup(memory) == caller


def test_no_token_is_trusted_after_a_long_time_without_a_look(clock: Clock) -> None:
    memory, caller = known()
    clock.now += 30
    memory.look()

    clock.now += WITHIN_SECONDS - 0.001
    assert lookup(memory) == caller
    clock.now += 0.002
    assert lookup(memory) is None


def test_a_change_ends_what_was_known_within_the_time_from_the_last_look(clock: Clock) -> None:
    memory, caller = known()
    clock.now += 30
    memory.look()
    make_token("other").delete()

    clock.now += 0.5
    memory.look()

    answers = [lookup(memory) for _ in range(3)]
    assert answers == [None, caller, caller]  # the first is to ask anew, for the others
    clock.now += WITHIN_SECONDS - 0.5 + 0.001
    assert lookup(memory) is None


def test_token_verified_before_a_change_and_cached_after_it_is_not_trusted(
    clock: Clock,
) -> None:
    memory, caller = known()
    asked = memory.now()
    make_token("other").delete()
    memory.look()
    memory.remember("a", caller, asked, is_local=True)

    clock.now += WITHIN_SECONDS + 0.001
    memory.look()

    assert lookup(memory) is None


def test_foreign_token_is_verified_by_one_of_its_concurrent_requests(
    clock: Clock,
) -> None:
    memory, caller = known(is_local=False)

    clock.now += ASK_AGAIN_SECONDS + 0.001
    memory.look()
    answers = [lookup(memory) for _ in range(3)]

    assert answers == [None, caller, caller]
    clock.now += WITHIN_SECONDS
    memory.look()
    assert lookup(memory) is None


def test_a_token_that_expires_is_recalled_no_more(clock: Clock) -> None:
    memory, caller = known()
    late = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
    memory.remember(
        "a",
        Caller(account=caller.account, scopes=caller.scopes, token=caller.token, expires_at=late),
        memory.now(),
        is_local=True,
    )

    assert lookup(memory) is None


def test_for_want_of_better_a_token_is_good_for_as_long_after_it_was_last_known_to_be(
    clock: Clock,
) -> None:
    memory, caller = known()

    def in_an_outage() -> Caller | None:
        return memory.lookup_stale("a", within_seconds=600, now=timezone.now())

    clock.now += 10_000
    assert in_an_outage() is None
    memory.look()
    assert in_an_outage() == caller
    make_token("other").delete()
    clock.now += 1
    memory.look()

    clock.now += 599
    assert in_an_outage() == caller
    clock.now += 0.001
    assert in_an_outage() is None


def test_forgets_the_oldest_rather_than_grow_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(token_cache, "MAX_REMEMBERED", 3)
    memory, caller = known()

    for number in range(3):
        memory.remember(str(number), caller, memory.now(), is_local=True)

    assert [lookup(memory, digest) for digest in ("a", "0", "2")] == [None, caller, caller]


# --- Use of tokens --------------------------------------------------------------------------------


def test_used_tokens_are_reported_once(clock: Clock) -> None:
    memory, caller = known()
    memory.take_used()

    assert memory.take_used() == []
    memory.look()
    lookup(memory)
    assert memory.take_used() == [caller]
    assert memory.take_used() == []


def test_writes_when_tokens_were_last_used_that_postgresql_was_not_asked_about() -> None:
    token, other = make_token(), make_token("other")
    now = timezone.now()
    Token.objects.filter(pk=other.pk).update(last_used_at=now)

    token_uses.note_all([caller_of(token).token, caller_of(other).token])

    token.refresh_from_db()
    other.refresh_from_db()
    assert token.last_used_at is not None
    assert token.last_used_at >= now
    assert other.last_used_at == now  # less than a minute ago


def test_token_cache_refreshes_after_an_outage_of_postgresql(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    memory, caller = known()

    def refuse() -> str:
        raise OperationalError("connection refused")

    with monkeypatch.context() as patched:
        patched.setattr(CallersRevision, "current", refuse)
        assert memory._look_safely(None) == token_cache.LOOK_SECONDS
    assert memory._look_safely(None) == token_cache.LOOK_SECONDS

    assert lookup(memory) == caller


def test_nothing_is_asked_before_there_is_a_token_to_follow(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    memory: VerifiedTokens[Caller] = VerifiedTokens()
    caller = caller_of(make_token())
    looks: list[int] = []
    monkeypatch.setattr(memory, "look", lambda: looks.append(1))
    monkeypatch.setattr(token_cache, "LOOK_SECONDS", 0.001)

    async def scene() -> int:
        following = asyncio.create_task(memory.follow(lambda used: None))
        await asyncio.sleep(0.05)
        before = len(looks)
        await asyncio.to_thread(memory.remember, "a", caller, memory.now(), is_local=True)
        while len(looks) < 2:
            await asyncio.sleep(0.001)
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
        return before

    assert asyncio.run(asyncio.wait_for(scene(), 60)) == 0
    memory.forget("a")
    memory.remember("b", caller, memory.now(), is_local=True)  # after the loop, without it
