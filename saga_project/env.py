"""Typed reads of the configuration: the environment over a TOML file over defaults.

A value that cannot be understood stops the start with one line that names the variable.
"""

from __future__ import annotations

import ipaddress
import json
import os
import re
import sys
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import platformdirs
from environs import Env, EnvValidationError, ValidationError

_ORIGIN = re.compile(r"https?://([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?/?", re.ASCII)
_PROXY_EXCEPTION = re.compile(r"(\*?\.)?[A-Za-z0-9._-]+|\[?[0-9A-Fa-f:.]+\]?", re.ASCII)

#: Loopback and the private ranges of IPv4 and IPv6.
PRIVATE_NETWORKS = [
    "127.0.0.0/8",
    "::1/128",
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "fc00::/7",
]

#: Settings that were renamed, and their present names.
FORMER_NAMES = {"SAGA_LANE": "SAGA_FAST_PATH"}


#: Variables of this process that SAGA_CONFIG set, and not the environment.
_from_file: set[str] = set()


class ConfigurationError(SystemExit):
    """Ends the process with its sentence on standard error and exit status 1."""


def _as_text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return ",".join(str(item) for item in value)
    if isinstance(value, dict):
        return json.dumps(value)
    return str(value)


def _load_toml(path: Path) -> dict[str, str]:
    try:
        with path.open("rb") as file:
            document = tomllib.load(file)
    except FileNotFoundError:
        return {}
    except (OSError, tomllib.TOMLDecodeError) as exc:
        raise ConfigurationError(f"SAGA_CONFIG: {path} cannot be read: {exc}") from exc
    return {key.upper(): _as_text(value) for key, value in document.items()}


def load(environ: Mapping[str, str] = os.environ) -> Env:
    """Return a reader that sees ``SAGA_CONFIG`` beneath the environment.

    An empty variable counts as unset. Errors are collected until ``seal()``.
    """
    default = Path.home() / ".saga" / "config.toml"
    path = Path(environ.get("SAGA_CONFIG") or default)
    if environ.get("SAGA_CONFIG") and not path.is_file():
        raise ConfigurationError(f"SAGA_CONFIG: {path} does not exist.")
    for key, text in _load_toml(path).items():
        if not os.environ.get(key):
            os.environ[key] = text
            _from_file.add(key)
    for key in [key for key, text in os.environ.items() if text == ""]:
        del os.environ[key]
    _translate_former_names()
    return Env(eager=False)


def data_folder(named: str | None, checkout: Path | None) -> Path:
    """Return the folder of data and secrets: ``named``, in a checkout relative to it, or the usual one.

    That is ``var`` in a checkout, and otherwise the folder where this platform keeps a user's data.
    """
    if checkout:
        return (checkout / Path(named or "var").expanduser()).resolve()
    if named:
        return Path(named).expanduser().resolve()
    return platformdirs.user_data_path("saga", appauthor=False)


def pin(name: str, text: str) -> None:
    """Set a variable for this process and its children, whatever SAGA_CONFIG says."""
    os.environ[name] = text
    _from_file.discard(name)


def inherited() -> dict[str, str]:
    """Return the environment without what SAGA_CONFIG set: a child process reads the file anew."""
    return {key: text for key, text in os.environ.items() if key not in _from_file}


def _translate_former_names() -> None:
    """Read settings under their former names, with a warning on standard error."""
    for former, name in FORMER_NAMES.items():
        value = os.environ.pop(former, None)
        if value is None:
            continue
        os.environ.setdefault(name, value)
        sys.stderr.write(f"{former} is now called {name}; set that instead.\n")


def check_networks(texts: Iterable[str]) -> None:
    """Raise ValidationError unless each text is an address or a network in CIDR notation."""
    for text in texts:
        try:
            ipaddress.ip_network(text, strict=False)
        except ValueError:
            raise ValidationError(
                f"'{text}' is no address or network; write 10.0.0.7 or 10.0.0.0/8."
            ) from None


def check_origin(url: str) -> None:
    """Raise ValidationError unless the text is the scheme, host and port of a web site."""
    if _ORIGIN.fullmatch(url) is None:
        raise ValidationError(f"'{url}' must be like https://saga.example.com, without a path.")


def check_foreign_origins(texts: Iterable[str]) -> None:
    """Raise ValidationError unless each text is an origin, or ``*`` for all of them."""
    for text in texts:
        if text != "*":
            check_origin(text)


def check_audit_receiver(url: str) -> None:
    """Raise ValidationError unless the text is a syslog server or the URL of a webhook."""
    parts = urlsplit(url)
    known = ("syslog", "syslog+tcp", "http", "https")
    try:
        is_one = parts.scheme in known and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_one = False
    if not is_one:
        raise ValidationError(
            f"'{url}' must be like syslog://logs.example:514, syslog+tcp://logs.example:601 or https://…"
        )


def check_proxy(url: str) -> None:
    """Raise ValidationError unless the text is the URL of an HTTP proxy; the error shows no login."""
    try:
        parts = urlsplit(url)
        is_one = parts.scheme == "http" and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_one = False
    if not is_one or parts.path.strip("/") or parts.query or parts.fragment or not url.isascii():
        raise ValidationError(
            "must be like http://proxy.example:3128 or http://user:password@proxy.example:3128."
        )


def check_proxy_exceptions(texts: Iterable[str]) -> None:
    """Raise ValidationError unless each text is a name, an address, a network, or ``*``."""
    for text in texts:
        if "/" in text:
            check_networks([text])
        elif text != "*" and _PROXY_EXCEPTION.fullmatch(text) is None:
            raise ValidationError(f"'{text}' must be like example.com, 10.0.0.7 or 10.0.0.0/8.")


def is_loopback(host: str) -> bool:
    """Return whether the address or name to bind is one of this machine alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def seal(env: Env) -> None:
    """Stop the process if any value that was read so far is wrong; all of them are named."""
    try:
        env.seal()
    except EnvValidationError as exc:
        messages: Any = exc.error_messages
        lines = [f"{name}: {' '.join(texts)}" for name, texts in messages.items()]
        raise ConfigurationError("\n".join(lines)) from exc
