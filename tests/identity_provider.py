"""A small OpenID Connect provider in a process of its own: discovery, codes with PKCE, tokens, keys, logout.

It refuses what a real one refuses: an unknown client, another redirect address, a code that was used, a wrong
verifier or secret. Tests configure which people there are, and which fault its next token has.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote_plus, urlencode, urlsplit

import jwt
import requests
import uvicorn
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

from saga_project.local.embedded import processes

CLIENT, SECRET = "saga-console", "a secret/with+signs"
ROOT = Path(__file__).resolve().parent.parent


class Provider:
    """The provider's state and its answers."""

    def __init__(self, issuer: str) -> None:
        self.issuer = issuer
        self.people: dict[str, dict[str, Any]] = {}
        self.faults: dict[str, Any] = {}
        self.codes: dict[str, dict[str, str]] = {}
        self.tokens: dict[str, str] = {}
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.other_key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.ended: list[str] = []

    def answer(
        self, method: str, path: str, query: dict[str, str], headers: dict[str, str], body: str
    ) -> tuple[int, dict[str, str], str]:
        routes = {
            ("GET", "/.well-known/openid-configuration"): lambda: _json(self.configuration()),
            ("GET", "/jwks"): lambda: _json(self.keys()),
            ("GET", "/authorize"): lambda: self.authorize(query),
            ("POST", "/token"): lambda: self.exchange(headers, _form(body)),
            ("GET", "/userinfo"): lambda: self.userinfo(headers),
            ("GET", "/end"): lambda: self.end(query),
            ("PUT", "/people"): lambda: self.set(people=json.loads(body)),
            ("PUT", "/faults"): lambda: self.set(faults=json.loads(body)),
            ("POST", "/logout-token"): lambda: _json(
                {"token": self.logout_token(json.loads(body))}
            ),
            ("GET", "/ended"): lambda: _json({"ended": self.ended}),
            ("GET", "/favicon.ico"): lambda: (204, {}, ""),
        }
        route = routes.get((method, path))
        return route() if route else (404, {}, "")

    def set(self, **values: Any) -> tuple[int, dict[str, str], str]:
        for name, value in values.items():
            setattr(self, name, value)
        return 204, {}, ""

    def configuration(self) -> dict[str, Any]:
        return {
            "issuer": self.faults.get("issuer", self.issuer),
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "userinfo_endpoint": f"{self.issuer}/userinfo",
            "jwks_uri": f"{self.issuer}/jwks",
            "end_session_endpoint": f"{self.issuer}/end",
            "id_token_signing_alg_values_supported": ["RS256"],
            "code_challenge_methods_supported": ["S256"],
        }

    def keys(self) -> dict[str, Any]:
        entry = json.loads(RSAAlgorithm.to_jwk(self.key.public_key()))
        return {"keys": [{**entry, "kid": "k1", "use": "sig", "alg": "RS256"}]}

    def authorize(self, query: dict[str, str]) -> tuple[int, dict[str, str], str]:
        if query.get("client_id") != CLIENT or query.get("response_type") != "code":
            return 400, {}, "unknown client"
        if urlsplit(query.get("redirect_uri", "")).path != "/admin/login/provider/callback/":
            return 400, {}, "unknown redirect address"
        back = query["redirect_uri"]
        if query.get("code_challenge_method") != "S256" or not query.get("code_challenge"):
            return _redirect(back, error="invalid_request", state=query.get("state", ""))
        name = query.get("as")
        if name is None:
            places = {name: urlencode({**query, "as": name}) for name in self.people}
            links = "".join(
                f'<p><a href="/authorize?{html.escape(place)}">Continue as {name}</a></p>'
                for name, place in places.items()
            )
            return 200, {"Content-Type": "text/html"}, f"<h1>The company</h1>{links}"
        if name not in self.people:
            return _redirect(back, error="access_denied", state=query.get("state", ""))
        code = secrets.token_urlsafe(16)
        self.codes[code] = {**query, "as": name}
        return _redirect(back, code=code, state=query.get("state", ""))

    def exchange(
        self, headers: dict[str, str], form: dict[str, str]
    ) -> tuple[int, dict[str, str], str]:
        if not self._is_client(headers, form):
            return _json({"error": "invalid_client"}, 401)
        asked = self.codes.pop(form.get("code", ""), None)
        if asked is None or asked["redirect_uri"] != form.get("redirect_uri"):
            return _json({"error": "invalid_grant"}, 400)
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        if base64.urlsafe_b64encode(digest).rstrip(b"=").decode() != asked["code_challenge"]:
            return _json({"error": "invalid_grant"}, 400)
        access = secrets.token_urlsafe(16)
        self.tokens[access] = asked["as"]
        answer = {"access_token": access, "token_type": "Bearer", "expires_in": 300}
        if not self.faults.get("no_id_token"):
            answer["id_token"] = self._id_token(asked)
        return _json(answer)

    def _is_client(self, headers: dict[str, str], form: dict[str, str]) -> bool:
        scheme, _, text = headers.get("authorization", "").partition(" ")
        if scheme != "Basic":
            return False
        name, _, secret = base64.b64decode(text).decode().partition(":")
        return (unquote_plus(name), unquote_plus(secret)) == (CLIENT, SECRET)

    def _id_token(self, asked: dict[str, str]) -> str:
        claims = {
            "iss": self.issuer,
            "aud": CLIENT,
            "sub": f"sub-of-{asked['as']}",
            "iat": int(time.time()),
            "exp": int(time.time()) + 300,
            "nonce": asked.get("nonce"),
            **self.faults.get("claims", {}),
        }
        key = self.other_key if self.faults.get("other_key") else self.key
        if self.faults.get("no_signature"):
            return jwt.encode(claims, None, "none", headers={"kid": "k1"})  # type: ignore[arg-type]
        return jwt.encode(claims, key, "RS256", headers={"kid": "k1"})

    def logout_token(self, asked: dict[str, Any]) -> str:
        """Return a logout token with other claims and headers where asked for; None leaves one out."""
        claims = {
            "iss": self.issuer,
            "aud": CLIENT,
            "iat": int(time.time()),
            "exp": int(time.time()) + 120,
            "jti": secrets.token_urlsafe(8),
            "events": {"http://schemas.openid.net/event/backchannel-logout": {}},
            **asked["claims"],
        }
        sent = {name: value for name, value in claims.items() if value is not None}
        headers = {"kid": "k1", "typ": asked.get("typ", "logout+jwt")}
        if asked.get("no_signature"):
            return jwt.encode(sent, None, "none", headers=headers)  # type: ignore[arg-type]
        key = self.other_key if asked.get("other_key") else self.key
        return jwt.encode(sent, key, "RS256", headers=headers)

    def userinfo(self, headers: dict[str, str]) -> tuple[int, dict[str, str], str]:
        name = self.tokens.get(headers.get("authorization", "").removeprefix("Bearer "))
        if name is None:
            return 401, {}, ""
        claims = {"sub": f"sub-of-{name}", "preferred_username": name, **self.people[name]}
        return _json({**claims, **self.faults.get("userinfo", {})})

    def end(self, query: dict[str, str]) -> tuple[int, dict[str, str], str]:
        claims = jwt.decode(
            query["id_token_hint"], self.key.public_key(), ["RS256"], audience=CLIENT
        )
        self.ended.append(claims["sub"])
        return _redirect(query["post_logout_redirect_uri"])

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve as an ASGI application."""
        if scope["type"] != "http":
            return
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        headers = {name.decode().lower(): value.decode() for name, value in scope["headers"]}
        query = _form(scope["query_string"].decode())
        status, further, text = self.answer(
            scope["method"], scope["path"], query, headers, body.decode()
        )
        sent = [(name.encode(), value.encode()) for name, value in further.items()]
        await send({"type": "http.response.start", "status": status, "headers": sent})
        await send({"type": "http.response.body", "body": text.encode()})


def _form(text: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(text).items()}


def _json(document: Any, status: int = 200) -> tuple[int, dict[str, str], str]:
    return status, {"Content-Type": "application/json"}, json.dumps(document)


def _redirect(place: str, **query: str) -> tuple[int, dict[str, str], str]:
    joined = f"{place}{'&' if '?' in place else '?'}{urlencode(query)}" if query else place
    return 303, {"Location": joined}, ""


# --- For tests ------------------------------------------------------------------------------------


class Running:
    """A provider that runs, as tests speak to it."""

    def __init__(self, issuer: str) -> None:
        self.issuer = issuer

    def knows(self, **people: dict[str, Any]) -> None:
        """Make these the people of the provider, with their claims."""
        requests.put(f"{self.issuer}/people", json=people, timeout=30).raise_for_status()

    def errs(self, **faults: Any) -> None:
        """Have the next answers be wrong; without arguments they are right again."""
        requests.put(f"{self.issuer}/faults", json=faults, timeout=30).raise_for_status()

    def ended(self) -> list[str]:
        """Return the subjects of the sessions that ended at the provider."""
        found: list[str] = requests.get(f"{self.issuer}/ended", timeout=30).json()["ended"]
        return found

    def logout_token(self, **asked: Any) -> str:
        """Return the token of a logout: ``claims``, and faults of header and signature."""
        answer = requests.post(
            f"{self.issuer}/logout-token", json={"claims": {}, **asked}, timeout=30
        )
        return str(answer.json()["token"])

    def sends_back(self, place: str, name: str) -> str:
        """Return the path to which a browser comes back that goes to ``place`` and continues as ``name``."""
        answer = requests.get(place, params={"as": name}, allow_redirects=False, timeout=30)
        assert answer.status_code == 303, answer.text
        back = urlsplit(answer.headers["Location"])
        return f"{back.path}?{back.query}"


@contextmanager
def running() -> Iterator[Running]:
    """Run a provider until the block ends."""
    port = processes.any_free_port()
    issuer = f"http://127.0.0.1:{port}"
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.identity_provider", str(port)], cwd=ROOT
    )
    try:
        _await(issuer, process)
        yield Running(issuer)
    finally:
        process.kill()
        process.wait()


def _await(issuer: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        try:
            requests.get(f"{issuer}/jwks", timeout=5)
        except requests.ConnectionError:
            time.sleep(0.05)
        else:
            return
    raise AssertionError("The provider did not start.")


if __name__ == "__main__":
    number = int(sys.argv[1])
    uvicorn.run(
        Provider(f"http://127.0.0.1:{number}"), host="127.0.0.1", port=number, log_level="warning"
    )
