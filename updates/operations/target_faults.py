"""What is wrong with a target that is configured: names, folders, hooks, instances, options."""

from __future__ import annotations

import os
from pathlib import Path

from django.conf import settings
from django.db.models import F, Q, Value
from django.db.models.functions import Concat

from registry.operations.configured import Faults
from saga_project.shared import rules
from updates.artifacts.installers import container, hooks, script, systemd
from updates.models import Target
from updates.rollouts import environments, target_instances

_OPTIONS = {
    Target.Installer.CONTAINER: container.fault,
    Target.Installer.SYSTEMD: systemd.fault,
    Target.Installer.COMMAND: script.fault,
}


def find(target: Target) -> Faults:
    """Return what is wrong with the target, by field; empty where nothing is."""
    return _named(target) or _run(target) or _placed(target)


def _named(target: Target) -> Faults:
    """The names reach queues, paths and command lines."""
    if not rules.SERVICE_NAME.matches(target.name):
        return {
            "name": f"A target's name has letters, digits and . _ - only, unlike {target.name!r}."
        }
    if target.instance_id and (fault := rules.INSTANCE_ID.fault(target.instance_id)):
        return {"instance_id": fault}
    if fault := target_instances.fault(target.instances):
        return {"instances": fault}
    nodes = {target.node, *(node for node, _ in target_instances.places(target))}
    for node in sorted(nodes):
        if not rules.SERVICE_NAME.matches(node):
            return {"node": f"A node's name has letters, digits and . _ - only, unlike {node!r}."}
    if not target.zone.isprintable():
        return {"zone": "A zone has no control characters."}
    if fault := _confusion(target):
        return {"name": fault}
    return {}


def _confusion(target: Target) -> str:
    """Units and containers are named by service and target: ``a-b``/``c`` would be ``a``/``b-c``."""
    others = Target.objects.annotate(full=Concat(F("service__name"), Value("-"), F("name")))
    if target.pk:
        others = others.exclude(pk=target.pk).exclude(parent=target.pk)
    for name in target_instances.names_of(target):
        own = f"{target.service.name}-{name}"
        same = {own, f"{own}-previous", own.removesuffix("-previous")}
        is_itself = Q(service=target.service, name=name)  # which is refused as a duplicate
        clash = others.filter(full__in=same).exclude(is_itself).select_related("service").first()
        if clash is not None:
            return f"The unit or container of {clash} would have the name of this one's."
    return ""


def _run(target: Target) -> Faults:
    if fault := environments.fault(target.environment):
        return {"environment": fault}
    if fault := hooks.fault(target.hooks):
        return {"hooks": fault}
    if not isinstance(target.installer_options, dict):
        return {"installer_options": "Options are a JSON object."}
    check = _OPTIONS.get(Target.Installer(target.installer))
    if check is not None and (fault := check(target.installer_options)):
        return {"installer_options": fault}
    return {}


def _placed(target: Target) -> Faults:
    if not target.install_root:
        return {}
    for node, root in target_instances.places(target):
        if fault := _root_fault(root, target) or _clash(node, Path(root), target):
            return {"install_root": fault}
    return {}


def _root_fault(root: str, target: Target) -> str:
    path = Path(root)
    if not path.is_absolute() or ".." in path.parts or not root.isprintable():
        return "A root is an absolute path without '..', such as /srv/shop."
    if os.path.normpath(root) == "/" or path.is_relative_to("/proc"):
        return f"{root} is no folder to install in."
    own = settings.SAGA_INSTALL_ROOT / target.service.name
    is_sagas = path.is_relative_to(settings.SAGA_DATA_DIR) or path.is_relative_to(
        settings.SAGA_INSTALL_ROOT
    )
    if is_sagas and not path.is_relative_to(own):
        return f"{root} is Saga's own, or another service's; leave the root empty, or use {own}."
    return ""


def _clash(node: str, path: Path, target: Target) -> str:
    """Two services never share a folder, and two accounts not one within the other."""
    others = Target.objects.exclude(service=target.service).exclude(install_root="")
    for other in others.filter(parent=None).select_related("service"):
        has_other_owner = other.service.account_id != target.service.account_id
        for its_node, its_root in target_instances.places(other):
            if its_node == node and _overlaps(path, Path(its_root), is_strict=has_other_owner):
                return f"{path} on node {node} belongs to a target of another service."
    return ""


def _overlaps(path: Path, other: Path, *, is_strict: bool) -> bool:
    is_nested = path.is_relative_to(other) or other.is_relative_to(path)
    return path == other or (is_strict and is_nested)
