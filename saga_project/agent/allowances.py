"""Whether this host allows what an order wants, by the host's own file."""

from __future__ import annotations

import re
from collections.abc import Iterable
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from saga_project.agent.configuration import Allowed
from saga_project.shared import rules

PROBE, STOP, RESTART = "probe", "stop instance", "restart"
#: Set by the agent itself for each command.
RESERVED_PREFIX = "SAGA_"
_SHA256 = re.compile(r"[0-9a-f]{64}")
#: Made of a service's name and a version, each of which may have 128 characters.
_JOB_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+_-]{0,299}", re.ASCII)


def fault(order: dict[str, Any], allowed: Allowed, *, services: Path) -> str | None:
    """Return why this host refuses the order, None where it does not."""
    if order["action"] == PROBE:
        return None
    try:
        document = order["document"]
        target = document["target"]
        return (
            _misnamed(document)
            or _misnumbered(order)
            or _unlisted(target, document["environment"], allowed, services)
            or _restart_fault(order["action"], target, allowed)
        )
    except (KeyError, TypeError, AttributeError, ValueError) as exc:
        return f"This host cannot read the order: {type(exc).__name__}."


def _misnamed(document: dict[str, Any]) -> str | None:
    """Refuse a name that could lead out of the agent's folders, or that a command would read as an option."""
    target = document["target"]
    for name in (document["service_name"], target["name"]):
        if not rules.SERVICE_NAME.matches(name):
            return _no_name(name)
    versions = (document["version"], document["previous"], target["current_version"])
    for text in versions:
        if text and not rules.VERSION.matches(text):
            return _no_name(text)
    if document["job_id"] and not _JOB_ID.fullmatch(document["job_id"]):
        return _no_name(document["job_id"])
    if target["instance_id"] and not rules.INSTANCE_ID.matches(target["instance_id"]):
        return _no_name(target["instance_id"])
    if document["artifact_sha256"] and not _SHA256.fullmatch(document["artifact_sha256"]):
        return _no_name(document["artifact_sha256"])
    return None


def _no_name(text: object) -> str:
    return f"This host makes no path of {str(text)[:200]!r}, which is no name."


def _misnumbered(order: dict[str, Any]) -> str | None:
    """Refuse a step under another fence than its order's, which is the one that was compared."""
    fence = order["document"]["fence"]
    if type(fence) is not int or fence != order["fence"]:
        return f"The order's fence is {order['fence']!r}, and its step's is {fence!r}."
    return None


def _unlisted(
    target: dict[str, Any], environment: dict[str, Any], allowed: Allowed, services: Path
) -> str | None:
    if target["installer"] not in allowed.installers:
        return _refusal("the installer", target["installer"], "installers")
    if not _is_root(target["install_root"], allowed, services):
        return _refusal("the folder", target["install_root"], "install_roots")
    for name in (*environment["plain"], *environment["sealed"]):
        if name.startswith(RESERVED_PREFIX) or not _is_listed(name, allowed.variables):
            return _refusal("the variable", name, "variables")
    return None


def _is_listed(name: str, patterns: Iterable[str]) -> bool:
    """Variables such as PATH and LD_PRELOAD decide what an allowed command runs in truth."""
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _restart_fault(action: str, target: dict[str, Any], allowed: Allowed) -> str | None:
    has_unit = target["restart"] == "systemd" and action in (RESTART, STOP)
    if has_unit and target["restart_with"] not in allowed.units:
        return _refusal("the unit", target["restart_with"], "units")
    is_signalled = target["restart"] == "signal" and action == RESTART
    if is_signalled and target["restart_with"] not in allowed.pid_files:
        return _refusal("the pid file", target["restart_with"], "pid_files")
    return None  # Commands are looked up by name in the host's file, and URLs held to its networks.


def _is_root(text: str, allowed: Allowed, services: Path) -> bool:
    """Releases lie below the agent's own folder, or below one that the host names."""
    if not text:
        return True
    path = Path(text).resolve()
    roots = [services, *map(Path, allowed.install_roots)]
    return any(path.is_relative_to(root.resolve()) for root in roots)


def _refusal(what: str, value: str, key: str) -> str:
    return f"This host does not allow {what} {value!r}; its agent.toml lists those it does ({key})."
