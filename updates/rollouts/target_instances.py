"""One target, many instances: several on a host, or one on each of several hosts.

A target may list its ``instances``. Each becomes a target of its own, made from the listed one whenever a job
is planned: placeholders filled in, a folder and a node of its own. The engine knows these only.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from registry import names
from saga_project.shared import errors
from updates.models import Target

MAX_INSTANCES = 1000
_KEYS = {"id", "port", "node", "zone"}
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9._-]")
#: What an instance has of its own, and never takes from the target that lists it.
_OWN = {
    "id",
    "name",
    "parent",
    "instances",
    "instance_id",
    "node",
    "zone",
    "install_root",
    "environment",
    "is_automatic",
    "is_standby",
    "current_version",
    "updated_at",
}


def fault(instances: Any) -> str | None:
    """Return why these instances make no sense, None where they do."""
    if not isinstance(instances, list) or len(instances) > MAX_INSTANCES:
        return f"instances is a list of at most {MAX_INSTANCES} objects."
    for item in instances:
        if found := _fault_of_one(item):
            return found
    used = [_NOT_IN_NAMES.sub("-", item["id"]) for item in instances]
    return None if len(set(used)) == len(used) else "Each instance has an id of its own."


def _fault_of_one(item: Any) -> str | None:
    if not isinstance(item, dict) or not isinstance(item.get("id"), str):
        return 'An instance is an object with an id, such as {"id": "shop-1", "port": 8001}.'
    if unknown := sorted(set(item) - _KEYS):
        return f"Unknown key {unknown[0]!r} of instance {item['id']!r}."
    try:
        names.check_instance_id(item["id"])
    except errors.SagaError as exc:
        return exc.message
    port = item.get("port")
    is_port = isinstance(port, int) and not isinstance(port, bool) and 1 <= port <= 65535
    if port is not None and not is_port:
        return f"The port of instance {item['id']!r} is a number from 1 to 65535."
    if not all(isinstance(item.get(key, ""), str) for key in ("node", "zone")):
        return f"node and zone of instance {item['id']!r} are texts."
    return None


def expand(targets: Sequence[Target]) -> list[Target]:
    """Return the targets, each that lists instances replaced by theirs."""
    expanded: list[Target] = []
    for target in targets:
        expanded += _expand(target) if target.instances else [target]
    return expanded


def _expand(target: Target) -> list[Target]:
    """Bring the rows of the instances up to date; those that are no longer listed are removed."""
    wanted = names_of(target)
    target.children.exclude(name__in=wanted).delete()
    return [
        Target.objects.update_or_create(
            service=target.service, name=name, defaults=_fields(target, item)
        )[0]
        for name, item in zip(wanted, target.instances, strict=True)
    ]


def _name(target: Target, item: Mapping[str, Any]) -> str:
    return f"{target.name}-{_NOT_IN_NAMES.sub('-', item['id'])}"


def _fields(target: Target, item: Mapping[str, Any]) -> dict[str, Any]:
    port, values = _port(item), _values(item)
    copied = {
        field.attname: _fill(getattr(target, field.attname), values)
        for field in Target._meta.concrete_fields
        if field.name not in _OWN
    }
    own_port = {"PORT": port} if port else {}
    return copied | {
        "parent": target,
        "instances": [],
        "instance_id": item["id"],
        "node": item.get("node") or target.node,
        "zone": item.get("zone") or target.zone,
        "install_root": _root(target, item),
        "environment": own_port | _fill(target.environment, values),
    }


def places(target: Target) -> list[tuple[str, str]]:
    """Return the node and the configured root of the target, or of each of its instances."""
    if not target.instances:
        return [(target.node, target.install_root)]
    return [(item.get("node") or target.node, _root(target, item)) for item in target.instances]


def names_of(target: Target) -> list[str]:
    """Return the target's name, or the names of the targets that its instances become."""
    return [_name(target, item) for item in target.instances] or [target.name]


def _root(target: Target, item: Mapping[str, Any]) -> str:
    root: str = _fill(target.install_root, _values(item))
    is_shared = root == target.install_root and bool(root)
    return str(Path(root) / _NOT_IN_NAMES.sub("-", item["id"])) if is_shared else root


def _values(item: Mapping[str, Any]) -> dict[str, str]:
    return {"{instance}": item["id"], "{port}": _port(item)}


def _port(item: Mapping[str, Any]) -> str:
    return "" if item.get("port") is None else str(item["port"])


def _fill(value: Any, values: Mapping[str, str]) -> Any:
    """Replace the placeholders in a text, or in all texts of a list or an object."""
    if isinstance(value, list):
        return [_fill(item, values) for item in value]
    if isinstance(value, dict):
        return {key: _fill(item, values) for key, item in value.items()}
    if isinstance(value, str):
        for placeholder, text in values.items():
            value = value.replace(placeholder, text)
    return value
