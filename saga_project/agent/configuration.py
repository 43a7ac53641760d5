"""What a host allows its agent, in a file of the host: ``agent.toml`` in the agent's folder.

Nothing that the control plane says widens it. Without the file: directories below the agent's own folder, no
command, no unit.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import django
from django.apps import AppConfig
from django.conf import settings

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
_LISTS = ("installers", "install_roots", "units", "pid_files", "networks", "variables")


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
    are those that the agent keeps registered.
    """

    commands: dict[str, list[str]] = field(default_factory=dict)
    installers: tuple[str, ...] = ("directory", "command")
    install_roots: tuple[str, ...] = ()
    units: tuple[str, ...] = ()
    pid_files: tuple[str, ...] = ()
    networks: tuple[str, ...] = PRIVATE_NETWORKS
    variables: tuple[str, ...] = ("PORT",)
    services: tuple[HostService, ...] = ()


def read(folder: Path) -> Allowed:
    """Return what ``agent.toml`` in the folder allows; raises ConfigurationInvalid."""
    file = folder / "agent.toml"
    if not file.exists():
        return Allowed()
    try:
        document = tomllib.loads(file.read_text())
    except (OSError, ValueError) as exc:
        raise ConfigurationInvalid(f"{file}: {exc}") from exc
    if unknown := sorted(set(document) - {"commands", "services", *_LISTS}):
        raise ConfigurationInvalid(f"{file}: unknown key {unknown[0]!r}.")
    commands = document.pop("commands", {})
    if not isinstance(commands, dict) or not all(map(_is_texts, commands.values())):
        raise ConfigurationInvalid(f"{file}: a command is a list of words, by its name.")
    try:
        kept = services.read(document.pop("services", []))
    except ValueError as exc:
        raise ConfigurationInvalid(f"{file}: {exc}") from exc
    if wrong := [name for name, value in document.items() if not _is_texts(value)]:
        raise ConfigurationInvalid(f"{file}: {wrong[0]} is a list of texts.")
    lists = {name: tuple(texts) for name, texts in document.items()}
    return Allowed(commands=commands, services=kept, **lists)


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
        SAGA_HTTP_PROXY="",
        SAGA_NO_PROXY=[],
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
