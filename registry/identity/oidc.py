"""Tokens of an OpenID Connect issuer (``SAGA_OIDC_ISSUER``): JWTs, verified with its published keys."""

from __future__ import annotations

import datetime as dt
import functools
import hashlib
import logging
import threading
import time
from collections.abc import Sequence
from typing import Any

import jwt
import orjson
from django.conf import settings

from registry import errors
from registry.identity import accounts
from registry.identity.accounts import Caller
from registry.models import MAX_NAME_LENGTH, ServiceAccount
from saga_project.shared import errors as saga_errors
from saga_project.shared import http_client

logger = logging.getLogger(__name__)

ALGORITHMS = ["RS256", "ES256"]
SUPER_ROLE = "super_admin"
ACCOUNT_MARK = "oidc:"  # no name that create_token takes has a colon
LEEWAY_SECONDS = 30
FETCH_TIMEOUT_SECONDS = 5.0
KEYS_FRESH_SECONDS = 3600
KEYS_USABLE_SECONDS = 24 * 3600
SECONDS_BETWEEN_FETCHES = 10


class IssuerUnavailable(saga_errors.Unavailable):
    error = "Token issuer is not available"


def is_jwt(text: str) -> bool:
    """Whether the text is taken for a JWT of the issuer.

    An issuer that people log in with signs ID tokens for many programs: without a SAGA_OIDC_AUDIENCE other
    than the console's own client id, none of its tokens is accepted.
    """
    client_id, audience = settings.SAGA_OIDC_CLIENT_ID, settings.SAGA_OIDC_AUDIENCE
    is_only_for_people = bool(client_id) and (not audience or audience == client_id)
    return bool(settings.SAGA_OIDC_ISSUER) and not is_only_for_people and text.count(".") == 2


def recognise(text: str, *, now: dt.datetime) -> Caller:
    """Return the caller that a JWT of the issuer names; raises TokenRefused."""
    claims = verify_token(text, audience=settings.SAGA_OIDC_AUDIENCE)
    return accounts.confirm(text, lambda _: _caller(claims), now=now)


def verify_token(
    text: str, *, audience: str | None, required: Sequence[str] = ("exp", "iss", "sub")
) -> dict[str, Any]:
    """Return the claims of a JWT of the issuer for ``audience`` (None: for any); raises TokenRefused."""
    issuer: str = settings.SAGA_OIDC_ISSUER or ""
    try:
        kid = jwt.get_unverified_header(text).get("kid")
        claims: dict[str, Any] = jwt.decode(
            text,
            _keys_of(issuer).find(kid),
            algorithms=ALGORITHMS,
            issuer=issuer,
            audience=audience,
            leeway=LEEWAY_SECONDS,
            options={
                "require": list(required),
                "verify_aud": audience is not None,
            },
        )
    except jwt.ExpiredSignatureError:
        raise errors.TokenRefused("The token has expired.") from None
    except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
        # Beside its own errors PyJWT lets through what odd headers and claims make of Python.
        raise errors.TokenRefused(
            "The token is not one that its issuer would have made for us."
        ) from None
    if type(claims["exp"]) not in (int, float):
        raise errors.TokenRefused("The token's 'exp' is not a number.")
    return claims


def _caller(claims: dict[str, Any]) -> Caller:
    account = _account(claims["sub"])
    if not account.is_active:
        raise errors.TokenRefused("The token's account is switched off.")
    return Caller(
        account=account,
        scopes=frozenset(_words(claims.get("permissions"))) & accounts.SCOPES.keys(),
        expires_at=_expiry(claims["exp"]),
        is_service_account=claims.get("token_type") == "client_credentials",
        is_super=SUPER_ROLE in _words(claims.get("roles")),
    )


def _expiry(exp: int | float) -> dt.datetime:
    try:
        return dt.datetime.fromtimestamp(exp, tz=dt.UTC) + dt.timedelta(seconds=LEEWAY_SECONDS)
    except (OverflowError, ValueError, OSError):
        return dt.datetime.max.replace(tzinfo=dt.UTC)


def _account(subject: str) -> ServiceAccount:
    """Return the row that owns what the subject registers, a program or a person."""
    return ServiceAccount.objects.get_or_create(name=account_name(subject))[0]


def account_name(subject: str) -> str:
    name = ACCOUNT_MARK + subject
    if len(name) > MAX_NAME_LENGTH or not name.isprintable():
        name = ACCOUNT_MARK + hashlib.sha256(subject.encode("utf-8", "surrogatepass")).hexdigest()
    return name


def _words(claim: Any) -> list[str]:
    """Return a claim that issuers write as a list or as words between spaces."""
    if isinstance(claim, str):
        return claim.split()
    return [word for word in claim if isinstance(word, str)] if isinstance(claim, list) else []


# --- The issuer's keys ----------------------------------------------------------------------------


@functools.lru_cache(maxsize=4)
def _keys_of(issuer: str) -> IssuerKeys:
    return IssuerKeys(issuer)


class IssuerKeys:
    """The published keys, kept for an hour; an unknown ``kid`` fetches them anew, but not often."""

    def __init__(self, issuer: str) -> None:
        self._issuer = issuer
        self._keys: dict[str | None, jwt.PyJWK] = {}
        self._fetched_at = self._tried_at = float("-inf")
        self._lock = threading.Lock()

    def find(self, kid: Any) -> jwt.PyJWK:
        """Return the key named ``kid``; raises TokenRefused or IssuerUnavailable."""
        if not self._is_fresh() or not self._has(kid):
            self._refresh(kid)
        if self._age() > KEYS_USABLE_SECONDS:
            raise IssuerUnavailable("The keys of the token's issuer cannot be fetched.")
        if not self._has(kid):
            raise errors.TokenRefused("The token names a key that its issuer does not have.")
        return self._keys[kid] if kid is not None else next(iter(self._keys.values()))

    def _age(self) -> float:
        return time.monotonic() - self._fetched_at

    def _is_fresh(self) -> bool:
        return self._age() < KEYS_FRESH_SECONDS

    def _has(self, kid: Any) -> bool:
        """A token without ``kid`` is taken where there is no choice."""
        return len(self._keys) == 1 if kid is None else isinstance(kid, str) and kid in self._keys

    def _refresh(self, kid: Any) -> None:
        with self._lock:
            if self._is_fresh() and self._has(kid):
                return  # another thread was faster
            if time.monotonic() - self._tried_at < SECONDS_BETWEEN_FETCHES:
                return
            self._tried_at = time.monotonic()
            try:
                self._keys = _fetch_keys(self._issuer)
            except saga_errors.SagaError as exc:
                logger.warning("issuer keys not fetched", extra={"reason": exc.message})
                return
            self._fetched_at = time.monotonic()


def _fetch_keys(issuer: str) -> dict[str | None, jwt.PyJWK]:
    root = issuer.rstrip("/")
    configuration = _fetch_json(f"{root}/.well-known/openid-configuration")
    place = configuration.get("jwks_uri") if configuration else None
    document = _fetch_json(place if isinstance(place, str) else f"{root}/.well-known/jwks.json")
    if document is None or not isinstance(document.get("keys"), list):
        raise IssuerUnavailable("The issuer publishes no keys.")
    keys = [key for entry in document["keys"] if (key := _read_key(entry)) is not None]
    return {key.key_id: key for key in keys}


def _fetch_json(url: str) -> dict[str, Any] | None:
    """Return the JSON object at ``url``, None where there is none."""
    answer = http_client.request(
        "GET", url, purpose="issuer", timeout_seconds=FETCH_TIMEOUT_SECONDS, follow_redirects=2
    )
    if answer.status != 200:
        return None
    try:
        document = orjson.loads(answer.body)
    except orjson.JSONDecodeError:
        return None
    return document if isinstance(document, dict) else None


def _read_key(entry: Any) -> jwt.PyJWK | None:
    """Return a signing key of a kind that we take; others, among them shared secrets, are passed over."""
    if not isinstance(entry, dict) or entry.get("use", "sig") != "sig":
        return None
    try:
        key = jwt.PyJWK(entry)
    except (jwt.PyJWTError, ValueError, TypeError, KeyError):
        return None
    return key if key.algorithm_name in ALGORITHMS else None
