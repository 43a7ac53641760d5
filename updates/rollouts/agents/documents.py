"""A step as an order carries it: what the control plane decided, in JSON; the node adds what is its own."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

from registry.models import Service
from updates.artifacts.installers import places
from updates.models import Target
from updates.step_context import Environment, RegistryLogin, StepContext

#: Fields of a step that are plain values.
_PLAIN = (
    *("service_name", "kind", "version", "job_id", "step", "fence", "deadline_seconds"),
    *("artifact_url", "artifact_type", "checksum", "artifact_sha256", "signature"),
    *("is_signature_required", "previous", "previous_reference", "is_rollback"),
)
#: Of the target; deployer and metrics stay with the control plane.
_OF_TARGET = (
    *("name", "is_automatic", "installer", "install_root", "keep_releases", "installer_options"),
    *("restart", "restart_with", "restart_signal", "restart_timeout_seconds", "hooks"),
    *("instance_id", "current_version"),
)


def describe(context: StepContext, *, is_fetching: bool) -> dict[str, Any]:
    """Return the document of a step; credentials of the artifact's host go with a fetch only."""
    document: dict[str, Any] = {name: getattr(context, name) for name in _PLAIN}
    document["signing_keys"] = list(context.signing_keys)
    document["environment"] = {
        "plain": dict(context.environment.plain),
        "sealed": dict(context.environment.sealed),
    }
    document["target"] = {name: getattr(context.target, name) for name in _OF_TARGET}
    if is_fetching:
        document["artifact_headers"] = context.artifact_headers()
        login = context.registry_login()
        document["registry_login"] = dataclasses.asdict(login) if login else None
    return document


def read(
    document: dict[str, Any],
    *,
    checkpoint: Callable[[], None],
    report: Callable[[int, str], None],
) -> StepContext:
    """Return the step of a document, for the disk of this host."""
    target = Target(service=Service(name=document["service_name"]), **document["target"])
    headers = document.get("artifact_headers") or {}
    login = document.get("registry_login")
    return StepContext(
        **{name: document[name] for name in _PLAIN},
        signing_keys=tuple(document["signing_keys"]),
        environment=Environment(**document["environment"]),
        target=target,
        root=Path(places.install_root(target, document["service_name"])),
        artifact_headers=lambda: dict(headers),
        registry_login=lambda: RegistryLogin(**login) if login else None,
        checkpoint=checkpoint,
        report=report,
    )
