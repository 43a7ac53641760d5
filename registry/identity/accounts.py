"""Service accounts and their tokens: callers, scopes and ownership of services."""

from __future__ import annotations

import datetime as dt
import functools
import hashlib
import logging
import re
import secrets
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from django.contrib.auth.models import User
from django.db import InterfaceError, OperationalError, transaction
from django.utils import timezone

from registry import errors, names
from registry.identity import grants, people, token_uses
from registry.identity import scopes as known_scopes
from registry.identity.token_cache import VerifiedTokens
from registry.models import Service, ServiceAccount, Token
from saga_project.shared import errors as saga_errors

logger = logging.getLogger(__name__)

SCOPES, ADMIN_SCOPE = known_scopes.SCOPES, known_scopes.ADMIN_SCOPE
STAFF = "staff:"  # begins the name of a person of the console
TOKEN_MARK = "saga_"  # noqa: S105  (where every token begins)
PREFIX_LENGTH = 12
MAX_TOKEN_LENGTH = 8192
TRUSTED_WITHOUT_DATABASE_SECONDS = 600
DATABASE_PAUSE_SECONDS = 2

# RFC 6750's b68token: nothing else can be one of ours, or a JWT.
_TOKEN_TEXT = re.compile(r"[A-Za-z0-9._~+/-]+=*", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class Caller:
    """The account behind a request; stands where Django expects a user.

    ``person`` is the username where the token is a person's own.
    """

    account: ServiceAccount
    scopes: frozenset[str]
    token: Token | None = None
    expires_at: dt.datetime | None = None
    is_service_account: bool = True
    is_super: bool = False
    person: str = ""

    is_authenticated: ClassVar[bool] = True
    is_anonymous: ClassVar[bool] = False

    def __str__(self) -> str:
        return self.person or self.account.name

    @functools.cached_property
    def key(self) -> str:
        """Return the caller's key for throttling: each token counts for itself."""
        return f"token {self.token.pk}" if self.token else f"account {self}"

    def is_over(self, *, now: dt.datetime | None = None) -> bool:
        """Whether its token has expired."""
        return self.expires_at is not None and self.expires_at <= (now or timezone.now())

    @functools.cached_property
    def is_admin(self) -> bool:
        return self.is_super or ADMIN_SCOPE in self.scopes

    def has_scope(self, scope: str) -> bool:
        return self.is_admin or scope in self.scopes

    @property
    def is_bound_by_ownership(self) -> bool:
        """Whether it counts whose a service is: for programs; of people the role decides, as on pages."""
        return not (self.is_admin or self.person)

    @property
    def owner(self) -> ServiceAccount | None:
        """Return the account that owns the services it makes: a program's; people act by their role."""
        return self.account if self.account.pk and not self.person else None


def caller_of(user: Any) -> Caller | None:
    """Return the Caller that a request's ``user`` is, or None for an anonymous one."""
    return user if isinstance(user, Caller) else None


def staff(username: str) -> Caller:
    """Return a caller for a staff user that the admin's permissions have admitted."""
    account = ServiceAccount(name=f"{STAFF}{username}")
    return Caller(account=account, scopes=frozenset(), is_service_account=False, is_super=True)


# --- Ownership of services ------------------------------------------------------------------------


def check_may_change(
    by: Caller | None, name: str, *, owner_id: int | None, labels: Mapping[str, str] | None = None
) -> None:
    """Raise NotAllowed unless the caller may change the service ``name``.

    ``owner_id`` is its owner's primary key, None without one. ``labels`` save a query (``grants``).
    """
    if by is None:
        if owner_id is not None:
            raise errors.ServiceOwned(f"Service '{name}' belongs to an account: send its token.")
        return
    if not by.is_bound_by_ownership:
        return
    if not grants.is_granted(by.account, name, service_labels=labels):
        raise errors.ServiceNotGranted(f"Account '{by}' may not touch service '{name}'.")
    if owner_id is not None and owner_id != by.account.pk:
        raise errors.ServiceOwned(f"Service '{name}' belongs to another account.")


def check_may_change_named(caller: Caller | None, name: str) -> None:
    """The same, where only the service's name is known; costs one query."""
    owners = Service.objects.filter(name=name).values_list("account_id", flat=True)
    owner_id = next(iter(owners), None)
    check_may_change(caller, name, owner_id=owner_id)


# --- Making and ending tokens ---------------------------------------------------------------------


def check_scopes(scopes: Iterable[str]) -> list[str]:
    """Return ``scopes`` without repeats; raises UnknownScope."""
    chosen = list(dict.fromkeys(scopes))
    for scope in chosen:
        if scope not in SCOPES:
            raise errors.UnknownScope(f"'{scope}' is no scope; there are {', '.join(SCOPES)}.")
    return chosen


def ensure_account(
    name: str,
    *,
    scopes: Iterable[str],
    is_internal: bool = False,
    services: Iterable[str] | None = None,
) -> ServiceAccount:
    """Return the account ``name``, made if need be, with at least ``scopes``.

    ``services`` replaces the list of services that it may touch, None leaves it as it is.
    """
    if not names.is_name(name):
        raise errors.InvalidAccountName(f"'{name}' is no account name.")
    wanted = check_scopes(scopes)
    with transaction.atomic():
        account, _ = ServiceAccount.objects.select_for_update(no_key=True).get_or_create(name=name)
        account.scopes = list(dict.fromkeys([*account.scopes, *wanted]))
        account.is_internal = account.is_internal or is_internal
        if services is not None:
            account.services = [names.check_service_name(service) for service in services]
        account.save(update_fields=["scopes", "is_internal", "services"])
    return account


def issue_token(
    account: ServiceAccount,
    *,
    scopes: Iterable[str],
    expires_at: dt.datetime | None = None,
    name: str = "",
) -> tuple[Token, str]:
    """Return a new token and its text, which is nowhere kept."""
    chosen = check_scopes(scopes)
    granted = people.granted_to(account)
    if missing := [scope for scope in chosen if scope not in granted]:
        raise errors.ScopeNotGranted(
            f"Account '{account}' does not have {', '.join(missing)} itself."
        )
    text = TOKEN_MARK + secrets.token_urlsafe(32)
    token = Token.objects.create(
        account=account,
        name=name,
        prefix=text[:PREFIX_LENGTH],
        digest=digest_of(text),
        scopes=chosen,
        expires_at=expires_at,
    )
    logger.info("token issued", extra={"account": account.name, "prefix": token.prefix})
    return token, text


def of_person(person: User) -> Caller:
    """Return a person that the console has admitted as the caller that its own tokens are."""
    return Caller(
        account=people.account_of(person),
        scopes=people.scopes_of(person),
        is_service_account=False,
        person=person.get_username(),
    )


def revoke_token(token: Token, *, at: dt.datetime) -> bool:
    """End a token; False where it had ended before."""
    is_first = bool(
        Token.objects.filter(pk=token.pk, revoked_at__isnull=True).update(revoked_at=at)
    )
    _memory.confirmed.forget(token.digest)
    if is_first:
        logger.info("token revoked", extra={"prefix": token.prefix})
    return is_first


def digest_of(text: str) -> str:
    # 32 random bytes cannot be guessed: a slow hash would only slow us.
    return hashlib.sha256(text.encode()).hexdigest()


# --- Recognising them -----------------------------------------------------------------------------


@dataclass
class _Memory:
    """Callers that PostgreSQL recognised, for use while it does not answer."""

    confirmed: VerifiedTokens[Caller] = field(default_factory=VerifiedTokens)
    ask_again_at: float = 0.0


_memory = _Memory()


def is_token_text(text: str) -> bool:
    return len(text) <= MAX_TOKEN_LENGTH and _TOKEN_TEXT.fullmatch(text) is not None


def recognise(text: str, *, now: dt.datetime) -> Caller:
    """Return the caller of the token ``text``; raises TokenRefused."""

    def find(digest: str) -> Caller:
        rows = Token.objects.select_related("account__person").filter(digest=digest)
        token = next(iter(rows), None)
        caller = _evaluate(token, now=now)
        token_uses.note(caller.token, now=now)
        return caller

    return confirm(text, find, now=now)


def confirm(text: str, find: Callable[[str], Caller], *, now: dt.datetime) -> Caller:
    """Return what ``find`` says of the token's digest, asked anew each time.

    While PostgreSQL is gone, a token that was confirmed less than ten minutes ago is still good.
    """
    digest = digest_of(text)
    if time.monotonic() < _memory.ask_again_at:
        return _lookup_or_unavailable(digest, now=now)
    asked = _memory.confirmed.now()
    try:
        caller = find(digest)
    except (OperationalError, InterfaceError):
        _memory.ask_again_at = time.monotonic() + DATABASE_PAUSE_SECONDS
        return _lookup_or_unavailable(digest, now=now)
    except errors.TokenRefused:
        _memory.confirmed.forget(digest)
        raise
    _memory.confirmed.remember(digest, caller, asked, is_local=caller.token is not None)
    return caller


def lookup(digest: str, *, within_seconds: float, ask_again_seconds: float) -> Caller | None:
    """Return the caller of a token in the token cache; see ``VerifiedTokens.lookup``."""
    return _memory.confirmed.lookup(
        digest, within_seconds=within_seconds, ask_again_seconds=ask_again_seconds
    )


async def follow() -> None:
    """Keep what this process knows of tokens up to date, until cancelled."""
    await _memory.confirmed.follow(lambda used: token_uses.note_all(each.token for each in used))


def _lookup_or_unavailable(digest: str, *, now: dt.datetime) -> Caller:
    caller = _memory.confirmed.lookup_stale(
        digest, within_seconds=TRUSTED_WITHOUT_DATABASE_SECONDS, now=now
    )
    if caller is None:
        raise saga_errors.DatabaseUnavailable(
            "The token cannot be checked while the database is not available."
        )
    return caller


def _evaluate(token: Token | None, *, now: dt.datetime) -> Caller:
    if token is None:
        raise errors.TokenRefused("The token is not known.")
    if token.revoked_at is not None:
        raise errors.TokenRefused("The token was revoked.")
    expires_at = people.end_of(token, now=now)
    if not token.account.is_active:
        raise errors.TokenRefused("The token's account is switched off.")
    person = token.account.person
    if people.is_of_former_person(token.account) or (person and not people.may_call(person)):
        raise errors.TokenRefused("The token's person has no access any more.")
    return Caller(
        account=token.account,
        token=token,
        scopes=frozenset(token.scopes) & people.granted_to(token.account),
        expires_at=expires_at,
        is_service_account=person is None,
        person=person.get_username() if person else "",
    )
