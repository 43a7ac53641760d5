"""Where Saga is and with which token to call it: arguments, environment, profile, local token.

A profile is a table of ``config.toml`` in ``$XDG_CONFIG_HOME/saga`` (default ``~/.config/saga``), which only
its owner can read, because it holds tokens; those that a keyring took are not in it.
"""

from __future__ import annotations

import importlib
import ipaddress
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

DEFAULT_URL = "http://127.0.0.1:8030"
DEFAULT_PROFILE = "default"
IN_KEYRING = "keyring"


@dataclass(frozen=True)
class Profile:
    """An address and a token; ``source`` says where they come from."""

    url: str
    token: str | None
    source: str


def config_file() -> Path:
    """Return the path of the configuration, which need not exist."""
    base = os.environ.get("XDG_CONFIG_HOME") or str(Path("~/.config").expanduser())
    return Path(base) / "saga" / "config.toml"


def load(
    *, url: str | None = None, token: str | None = None, profile: str | None = None
) -> Profile:
    """Return address and token: arguments first, then SAGA_URL and SAGA_TOKEN, then the profile.

    The token of a profile is sent to the address of that profile only. Raises ValueError for a profile
    that does not exist or a configuration that cannot be read.
    """
    name = profile or os.environ.get("SAGA_PROFILE") or ""
    profiles = read()
    if name and name not in profiles:
        known = ", ".join(sorted(profiles)) or "none"
        raise ValueError(
            f"There is no profile '{name}' in {config_file()} (known: {known})."
            f" Make it with: saga login --profile {name}"
        )
    stored = profiles.get(name or DEFAULT_PROFILE, {})
    given_url = url or (None if profile else os.environ.get("SAGA_URL"))
    chosen = clean_url(given_url or str(stored.get("url", DEFAULT_URL)))
    is_of_profile = clean_url(str(stored.get("url", DEFAULT_URL))) == chosen
    found = token or (None if profile else os.environ.get("SAGA_TOKEN"))
    if not found and is_of_profile:
        found = _token_of(name or DEFAULT_PROFILE, stored)
    source = "argument or environment" if given_url else f"profile {name or DEFAULT_PROFILE}"
    return Profile(chosen, found or None, source)


def clean_url(url: str) -> str:
    """Return the base address without ``/api/v1`` and a slash at the end; ValueError if it is none."""
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError(f"'{url}' is no address of Saga; it looks like {DEFAULT_URL}")
    if parts.username or parts.password:
        raise ValueError("An address holds no user and no password; set SAGA_TOKEN to a token.")
    base = url.split("?", 1)[0].split("#", 1)[0].rstrip("/")
    return base.removesuffix("/api/v1")


def read() -> dict[str, dict[str, Any]]:
    """Return all profiles by name."""
    file = config_file()
    if not file.exists():
        return {}
    try:
        document = tomllib.loads(file.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as exc:
        raise ValueError(f"{file} cannot be read: {exc}. Correct or delete it.") from exc
    profiles = document.get("profiles", {})
    return {name: table for name, table in profiles.items() if isinstance(table, dict)}


def _token_of(name: str, stored: dict[str, Any]) -> str | None:
    if stored.get("token_in") != IN_KEYRING:
        return stored.get("token")
    token = _keyrings().read(_key(name, str(stored.get("url"))))
    if token is None:
        raise ValueError(
            f"The token of profile '{name}' is in the keyring, which does not give it. Unlock it, set"
            " SAGA_TOKEN, or store the token in the file: saga login --no-keyring"
        )
    return str(token)


def is_in_keyring(name: str) -> bool:
    """Return whether the token of a profile is in the keyring."""
    return bool(read().get(name, {}).get("token_in") == IN_KEYRING)


def _key(name: str, url: str) -> str:
    """Return what a token is stored under; it names the file, the profile and the address."""
    return f"{name} {url} {config_file()}"


def _keyrings() -> Any:
    """Return the module for keyrings, which most runs do without."""
    return importlib.import_module("saga_client.keyrings")


def write(name: str, *, url: str, token: str | None, may_use_keyring: bool = False) -> Path:
    """Add or replace a profile; the file is replaced as a whole and has mode 0600.

    With ``may_use_keyring``, the token is in the keyring where there is one, and in the file else.
    """
    profiles = read()
    before, table = profiles.get(name, {}), {"url": url}
    if token and may_use_keyring and _keyrings().store(_key(name, url), token):
        table["token_in"] = IN_KEYRING
    elif token:
        table["token"] = token
    has_moved = before.get("url") != url or "token_in" not in table
    if before.get("token_in") == IN_KEYRING and has_moved:
        _keyrings().forget(_key(name, str(before.get("url"))))
    profiles[name] = table
    file = config_file()
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    part = file.with_name(f".{file.name}.{os.getpid()}")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as output:
        output.write(_render(profiles))
    part.replace(file)
    return file


def _render(profiles: dict[str, dict[str, Any]]) -> str:
    # A JSON string is a TOML basic string.
    lines = ["# Written by `saga login`. It holds tokens: keep it to yourself.\n"]
    for name, table in sorted(profiles.items()):
        lines.append(f"\n[profiles.{json.dumps(name)}]\n")
        lines += [f"{key} = {json.dumps(str(value))}\n" for key, value in table.items()]
    return "".join(lines)


def is_loopback(url: str) -> bool:
    """Return whether the address leads to this machine."""
    host = urlsplit(url).hostname or ""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _server_folder() -> Path:
    """Return the folder of data of an installed server, which finds it by platformdirs."""
    if sys.platform == "darwin":
        return Path("~/Library/Application Support/saga").expanduser()
    return Path(os.environ.get("XDG_DATA_HOME") or Path("~/.local/share").expanduser()) / "saga"


def local_token(url: str) -> str | None:
    """Return the token that a Saga on this machine wrote for SAGA_AUTH=local-token, if it can be read.

    It is sent to loopback addresses only. The folder is SAGA_DATA_DIR, else ``var`` in the current folder
    or beside the virtual environment of this program, else where an installed server keeps its data.
    """
    if not is_loopback(url):
        return None
    named = os.environ.get("SAGA_DATA_DIR")
    usual = [Path("var"), Path(sys.prefix).parent / "var", _server_folder()]
    folders = [Path(named)] if named else usual
    for folder in folders:
        try:
            return (folder / "secrets" / "local_token").read_text("ascii").strip() or None
        except (OSError, UnicodeDecodeError):
            continue
    return None
