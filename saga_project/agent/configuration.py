"""What a host allows its agent, in a file of the host: ``agent.toml`` in the agent's folder.

Nothing that the control plane says widens it. Without the file: directories below the agent's own folder, no
command, no unit.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import django
from django.apps import AppConfig
from django.conf import settings
from saga_client import proxies

from saga_project.agent import services
from saga_project.agent.services import HostService

DEFAULT_FOLDER = Path("/var/lib/saga-agent")
PRIVATE_NETWORKS = (
    "127.0.0.0/8",
    "::1/128",
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "fc00::/7",
)
_LISTS = ("installers", "install_roots", "units", "pid_files", "networks", "variables", "no_proxy")


class ConfigurationInvalid(Exception):
    """The host's file cannot be used; the text says why."""


class AgentRegistry(AppConfig):
    """The models of steps, without what a server does when it starts."""

    name = "registry"


class AgentUpdates(AppConfig):
    """The models of steps, without what a server does when it starts."""

    name = "updates"


@dataclass(frozen=True, kw_only=True)
class Allowed:
    """Commands by their names; installers; folders that hold releases; units and pid files.

    ``variables`` are those that a target may set for commands, ``SHOP_*`` for all that begin so. ``services``
    are those that the agent keeps registered. ``proxy`` is the outgoing proxy, empty without one, and
    ``no_proxy`` what is called without it.
    """

    commands: dict[str, list[str]] = field(default_factory=dict)
    installers: tuple[str, ...] = ("directory", "command")
    install_roots: tuple[str, ...] = ()
    units: tuple[str, ...] = ()
    pid_files: tuple[str, ...] = ()
    networks: tuple[str, ...] = PRIVATE_NETWORKS
    variables: tuple[str, ...] = ("PORT",)
    services: tuple[HostService, ...] = ()
    proxy: str = ""
    no_proxy: tuple[str, ...] = ()

    def proxy_for(self, server: str) -> str:
        """Return the proxy through which Saga is called, empty for none."""
        return proxies.for_url(server, self.proxy, self.no_proxy)


def read(folder: Path) -> Allowed:
    """Return what ``agent.toml`` in the folder allows; raises ConfigurationInvalid."""
    file = folder / "agent.toml"
    document: dict[str, Any] = {}
    try:
        if file.exists():
            document = tomllib.loads(file.read_text())
    except (OSError, ValueError) as exc:
        raise ConfigurationInvalid(f"{file}: {exc}") from exc
    if unknown := sorted(set(document) - {"commands", "services", "proxy", *_LISTS}):
        raise ConfigurationInvalid(f"{file}: unknown key {unknown[0]!r}.")
    commands = document.pop("commands", {})
    if not isinstance(commands, dict) or not all(map(_is_texts, commands.values())):
        raise ConfigurationInvalid(f"{file}: a command is a list of words, by its name.")
    try:
        kept = services.read(document.pop("services", []))
    except ValueError as exc:
        raise ConfigurationInvalid(f"{file}: {exc}") from exc
    proxy, exceptions = _read_proxy(file, document)
    if wrong := [name for name, value in document.items() if not _is_texts(value)]:
        raise ConfigurationInvalid(f"{file}: {wrong[0]} is a list of texts.")
    lists = {name: tuple(texts) for name, texts in document.items()}
    return Allowed(commands=commands, services=kept, proxy=proxy, no_proxy=exceptions, **lists)


def _read_proxy(file: Path, document: dict[str, Any]) -> tuple[str, tuple[str, ...]]:
    """Take the outgoing proxy out of the file, or that of the environment: HTTPS_PROXY and NO_PROXY.

    The networks of the host are called without it, unless ``no_proxy`` says otherwise.
    """
    proxy, exceptions = proxies.of_environment("https")
    name = "HTTPS_PROXY"
    if "proxy" in document:
        name, proxy = f"{file}: proxy", document.pop("proxy")
        exceptions = list(document.get("networks", PRIVATE_NETWORKS))
    if not _is_proxy(proxy):
        raise ConfigurationInvalid(f"{name} is like http://user:password@proxy.example:3128.")
    exceptions = document.pop("no_proxy", exceptions)
    if not isinstance(exceptions, list) or not all(map(_is_exception, exceptions)):
        raise ConfigurationInvalid(f"{file}: no_proxy is a list of names, addresses and networks.")
    return proxy, tuple(exceptions)


def _is_proxy(text: Any) -> bool:
    """Whether it is the address of a proxy, or empty: artifacts are fetched through plain http to it only."""
    try:
        parts = urlsplit(text)
        return text == "" or (parts.scheme == "http" and bool(parts.hostname) and parts.port != 0)
    except (ValueError, AttributeError):
        return False


def _is_exception(text: Any) -> bool:
    return isinstance(text, str) and bool(text) and not set(text) & set(" ,;@")


def _is_texts(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(each, str) for each in value)


def begin(folder: Path, allowed: Allowed, *, node: str) -> None:
    """Set up what the modules of steps read; there is no database behind them."""
    settings.configure(
        SAGA_VERSION="agent",
        SAGA_NODE_NAME=node,
        SAGA_ARTIFACTS_DIR=folder / "artifacts",
        SAGA_BACKUPS_DIR=folder / "backups",
        SAGA_INSTALL_ROOT=folder / "services",
        SAGA_RESTART_COMMANDS=allowed.commands,
        SAGA_ARCHIVE_MAX_ENTRIES=200_000,
        SAGA_ARCHIVE_MAX_BYTES=10 * 2**30,
        SAGA_ARCHIVE_MAX_RATIO=200,
        SAGA_ALLOWED_NETWORKS=list(allowed.networks),
        SAGA_HTTP_PROXY=allowed.proxy,
        SAGA_NO_PROXY=list(allowed.no_proxy),
        REDIS_URL="redis://127.0.0.1:6379/0",
        DATABASES={"default": {"ENGINE": "django.db.backends.dummy"}},
        INSTALLED_APPS=[
            "django.contrib.contenttypes",
            "django.contrib.auth",
            "django_celery_beat",
            f"{__name__}.AgentRegistry",
            f"{__name__}.AgentUpdates",
        ],
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        SECRET_KEY="an agent signs nothing",  # noqa: S106
        USE_TZ=True,
    )
    django.setup()
