from __future__ import annotations

import base64
import datetime as dt
import hmac
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from django.db import connection
from jwt.algorithms import ECAlgorithm, RSAAlgorithm
from pytest_django import Settings
from pytest_httpserver import HTTPServer
from werkzeug import Response

from registry import errors
from registry.identity import accounts, oidc
from registry.models import ServiceAccount

pytestmark = pytest.mark.django_db

NOW = dt.datetime.now(dt.UTC)  # of the collection: tests may run long after it
RSA_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
EC_KEY = ec.generate_private_key(ec.SECP256R1())
OTHER_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)


def published(**keys: Any) -> dict[str, Any]:
    """Return a JWKS of public keys by ``kid``."""
    entries = []
    for kid, key in keys.items():
        algorithm = RSAAlgorithm if isinstance(key, rsa.RSAPrivateKey) else ECAlgorithm
        entry = json.loads(algorithm.to_jwk(key.public_key()))
        entries.append({**entry, "kid": kid, "use": "sig"})
    return {"keys": entries}


class Issuer:
    """A real issuer's two documents, over HTTP; counts how often its keys are asked for."""

    def __init__(self, server: HTTPServer) -> None:
        self.url = server.url_for("/realm").rstrip("/")
        self.keys = published(r1=RSA_KEY, e1=EC_KEY)
        self.status = 200
        self.fetches = 0
        server.expect_request("/realm/.well-known/openid-configuration").respond_with_json(
            {"issuer": self.url, "jwks_uri": f"{self.url}/keys"}
        )
        server.expect_request("/realm/keys").respond_with_handler(self._answer)

    def _answer(self, request: Any) -> Response:
        self.fetches += 1
        return Response(json.dumps(self.keys), self.status, content_type="application/json")

    def token(
        self,
        key: Any = RSA_KEY,
        *,
        kid: str | None = "r1",
        algorithm: str = "RS256",
        **changes: Any,
    ) -> str:
        claims = {
            "iss": self.url,
            "aud": "saga",
            "sub": "deployer",
            "exp": int(time.time()) + 600,
            "token_type": "client_credentials",
            "permissions": ["services:read", "registry:manage", "somebody:elses"],
            **changes,
        }
        present = {name: value for name, value in claims.items() if value is not None}
        return jwt.encode(present, key, algorithm, headers={"kid": kid} if kid else None)


@pytest.fixture
def issuer(httpserver: HTTPServer, settings: Settings) -> Issuer:
    oidc._keys_of.cache_clear()
    made = Issuer(httpserver)
    settings.SAGA_OIDC_ISSUER = made.url
    settings.SAGA_OIDC_AUDIENCE = "saga"
    return made


def encoded(part: bytes | dict[str, str]) -> str:
    raw = part if isinstance(part, bytes) else json.dumps(part).encode()
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def recognise(token: str) -> accounts.Caller:
    return oidc.recognise(token, now=dt.datetime.now(dt.UTC))


# --- The caller of a token ------------------------------------------------------------------------


def test_recognises_a_service_account(issuer: Issuer) -> None:
    caller = recognise(issuer.token())

    assert caller.is_service_account
    assert caller.scopes == {"services:read", "registry:manage"}
    assert not caller.is_super
    assert caller.account == ServiceAccount.objects.get(name="oidc:deployer")


def test_takes_es256_and_rs256(issuer: Issuer) -> None:
    assert recognise(issuer.token(EC_KEY, kid="e1", algorithm="ES256"))
    assert recognise(issuer.token(RSA_KEY, kid="r1", algorithm="RS256"))


def test_the_same_subject_is_the_same_account(issuer: Issuer) -> None:
    assert recognise(issuer.token()).account == recognise(issuer.token(jti="2")).account


def test_a_person_is_no_service_account_and_owns_what_it_registers(issuer: Issuer) -> None:
    caller = recognise(issuer.token(token_type="access", sub="anna"))

    assert not caller.is_service_account
    assert caller.account == ServiceAccount.objects.get(name="oidc:anna")


@pytest.mark.parametrize("exp", ["4102444800", "4102444800.5", True])
def test_an_expiry_that_is_no_number_is_refused(issuer: Issuer, exp: object) -> None:
    with pytest.raises(errors.TokenRefused):
        recognise(issuer.token(exp=exp))


def test_a_super_administrator_passes_all(issuer: Issuer) -> None:
    caller = recognise(issuer.token(roles=["viewer", "super_admin"], permissions=None))

    assert caller.is_super
    assert caller.has_scope("updates:deploy")


@pytest.mark.parametrize(
    ("permissions", "scopes"),
    [
        ("services:read updates:read", {"services:read", "updates:read"}),
        (["services:read", 7, None, {}], {"services:read"}),
        (None, set()),
        ({"services:read": True}, set()),
    ],
)
def test_reads_permissions_as_list_or_words(
    issuer: Issuer, permissions: Any, scopes: set[str]
) -> None:
    assert recognise(issuer.token(permissions=permissions)).scopes == scopes


def test_refuses_an_account_that_was_switched_off_here(issuer: Issuer) -> None:
    recognise(issuer.token())
    ServiceAccount.objects.update(is_active=False)

    with pytest.raises(errors.TokenRefused, match="switched off"):
        recognise(issuer.token())


def test_a_subject_cannot_pass_for_an_account_of_ours(issuer: Issuer) -> None:
    ours = accounts.ensure_account("deployer", scopes=["admin:registry"])

    assert recognise(issuer.token()).account != ours


def test_keeps_a_subject_that_is_too_long_for_a_name(issuer: Issuer) -> None:
    one, two = (recognise(issuer.token(sub="x" * 500 + end)).account for end in "ab")

    assert one != two


# --- What is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": "https://elsewhere.example"},
        {"iss": None},
        {"aud": "another-program"},
        {"aud": None},
        {"exp": int(NOW.timestamp()) - 3600},
        {"exp": None},
        {"exp": "soon"},
        {"nbf": int(NOW.timestamp()) + 86_400},
        {"sub": None},
    ],
)
def test_refuses_wrong_claims(issuer: Issuer, changes: dict[str, Any]) -> None:
    with pytest.raises(errors.TokenRefused):
        recognise(issuer.token(**changes))


def test_refuses_a_token_that_another_key_signed(issuer: Issuer) -> None:
    with pytest.raises(errors.TokenRefused):
        recognise(issuer.token(OTHER_KEY))


def test_token_with_changed_claims_is_rejected(issuer: Issuer) -> None:
    header, _, signature = issuer.token().split(".")

    with pytest.raises(errors.TokenRefused):
        recognise(f"{header}.{encoded({'sub': 'root'})}.{signature}")


def test_refuses_a_token_without_a_signature(issuer: Issuer) -> None:
    token = jwt.encode(
        {"iss": issuer.url, "aud": "saga", "sub": "x", "exp": 2**31}, "", "none", {"kid": "r1"}
    )

    with pytest.raises(errors.TokenRefused):
        recognise(token)


def test_refuses_the_public_key_used_as_a_shared_secret(issuer: Issuer) -> None:
    public = RSA_KEY.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    header = encoded({"alg": "HS256", "typ": "JWT", "kid": "r1"})
    signed = f"{header}.{issuer.token().split('.')[1]}"
    signature = hmac.digest(public, signed.encode(), "sha256")

    with pytest.raises(errors.TokenRefused):
        recognise(f"{signed}.{encoded(signature)}")


def test_refuses_shared_secrets_that_an_issuer_publishes(issuer: Issuer) -> None:
    shared = {"kty": "oct", "kid": "o1", "k": encoded(b"k" * 32), "alg": "HS256"}
    issuer.keys["keys"].append(shared)

    with pytest.raises(errors.TokenRefused):
        recognise(issuer.token(b"k" * 32, kid="o1", algorithm="HS256"))


@pytest.mark.parametrize("text", ["a.b.c", "..", "e30.e30.e30", "eyJhbGciOiJSUzI1NiJ9.e30.x"])
def test_refuses_what_merely_looks_like_a_jwt(issuer: Issuer, text: str) -> None:
    with pytest.raises(errors.TokenRefused):
        recognise(text)


def test_knows_no_jwt_where_no_issuer_is_named(settings: Settings) -> None:
    settings.SAGA_OIDC_ISSUER = None

    assert not oidc.is_jwt("a.b.c")


# --- The issuer's keys ----------------------------------------------------------------------------


def test_fetches_the_keys_once_an_hour(issuer: Issuer, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(3):
        recognise(issuer.token())
    assert issuer.fetches == 1

    monkeypatch.setattr(oidc, "KEYS_FRESH_SECONDS", 0)
    monkeypatch.setattr(oidc, "SECONDS_BETWEEN_FETCHES", 0)
    recognise(issuer.token())

    assert issuer.fetches == 2


def test_fetches_the_keys_anew_for_a_key_that_it_does_not_know(
    issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    recognise(issuer.token())
    issuer.keys = published(r2=OTHER_KEY)
    monkeypatch.setattr(oidc, "SECONDS_BETWEEN_FETCHES", 0)

    assert recognise(issuer.token(OTHER_KEY, kid="r2"))
    with pytest.raises(errors.TokenRefused):
        recognise(issuer.token())


def test_unknown_keys_do_not_hammer_the_issuer(issuer: Issuer) -> None:
    recognise(issuer.token())

    for number in range(20):
        with pytest.raises(errors.TokenRefused):
            recognise(issuer.token(kid=f"junk-{number}"))

    assert issuer.fetches == 1


def test_concurrent_callers_fetch_the_keys_once(issuer: Issuer) -> None:
    barrier, keys = threading.Barrier(5), oidc._keys_of(issuer.url)

    def find(_: int) -> Any:
        barrier.wait()
        return keys.find("r1")

    with ThreadPoolExecutor(5) as pool:
        assert len({id(key) for key in pool.map(find, range(5))}) == 1
    assert issuer.fetches == 1


def test_goes_on_with_known_keys_while_the_issuer_is_away(
    issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    recognise(issuer.token())
    issuer.status = 500
    monkeypatch.setattr(oidc, "KEYS_FRESH_SECONDS", 0)
    monkeypatch.setattr(oidc, "SECONDS_BETWEEN_FETCHES", 0)

    assert recognise(issuer.token())
    assert issuer.fetches == 2


def test_says_that_the_issuer_is_away_where_it_knows_no_keys(issuer: Issuer) -> None:
    issuer.status = 500

    with pytest.raises(oidc.IssuerUnavailable):
        recognise(issuer.token())


@pytest.mark.parametrize("keys", [{}, {"keys": 5}, {"keys": [5, {}, {"kty": "RSA"}]}, []])
def test_survives_an_issuer_that_publishes_nonsense(issuer: Issuer, keys: Any) -> None:
    issuer.keys = keys

    with pytest.raises((errors.TokenRefused, oidc.IssuerUnavailable)):
        recognise(issuer.token())


def test_known_token_is_accepted_without_the_database(
    issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = issuer.token()
    recognise(token)
    monkeypatch.setattr(accounts._memory, "ask_again_at", float("inf"))
    monkeypatch.setattr(connection, "cursor", None)

    assert recognise(token).account.name == "oidc:deployer"
