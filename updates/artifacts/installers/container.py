"""Run an image as a container, with the command line of docker or podman.

The new container takes the name. The one that it replaces is stopped and kept as ``<name>-previous`` until
the deployment is over, so that a rollback only starts it again. Everything is found by name and
label: a step may run twice.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable
from typing import Any

from saga_project.shared.errors import SagaError
from updates.artifacts.installers import commands
from updates.step_context import Outcome, RegistryLogin, StepContext, StepFailed

ENGINES = ("docker", "podman")
RESTART_POLICIES = ("no", "on-failure", "always", "unless-stopped")
VERSION_LABEL = "saga.version"
START_SECONDS = 60
MAX_DOCUMENT_BYTES = 2**20
POLL_SECONDS = 0.5
CALL_SECONDS = 60.0
_LISTS = ("ports", "volumes", "command")
_TEXTS = ("engine", "network", "restart_policy")


def fault(options: dict[str, Any]) -> str | None:
    """Return why a container cannot be run with these options, None where it can."""
    unknown = sorted(set(options) - {*_LISTS, *_TEXTS, "start_seconds"})
    if unknown:
        return f"Unknown option {unknown[0]!r} of a container."
    for name in _LISTS:
        words = options.get(name, [])
        if not isinstance(words, list) or not all(_is_word(word) for word in words):
            return f"{name} is a list of texts that do not begin with a dash."
    if not all(_is_word(options[name]) for name in _TEXTS if name in options):
        return "engine, network and restart_policy are texts that do not begin with a dash."
    if options.get("engine", ENGINES[0]) not in ENGINES:
        return f"engine is one of {', '.join(ENGINES)}."
    policy = str(options.get("restart_policy", "no"))
    if policy.partition(":")[0] not in RESTART_POLICIES:
        return f"restart_policy is one of {', '.join(RESTART_POLICIES)}."
    seconds = options.get("start_seconds", START_SECONDS)
    if isinstance(seconds, bool) or not isinstance(seconds, int) or not 0 <= seconds <= 3600:
        return "start_seconds is a number from 0 to 3600."
    return None


def _is_word(word: object) -> bool:
    return isinstance(word, str) and bool(word) and word.isprintable() and word[0] != "-"


# --- Steps ----------------------------------------------------------------------------------------


def fetch(context: StepContext) -> Outcome:
    """Pull the image, by its digest where one was announced."""
    if context.artifact_type != "image":
        raise StepFailed("A container target installs images; the artifact's type is another.")
    if context.is_signature_required:
        raise StepFailed("The policy asks for a signature, and there is none for images.")
    image = reference(context.artifact_url, context.checksum)
    login = _login_of(context)
    if login is None:
        _call(context, "pull", image, seconds=context.deadline_seconds)
        return Outcome(message=f"Pulled {image}.")
    with tempfile.TemporaryDirectory(prefix="saga-login-") as folder:
        # Here the engine keeps the password, or the token it was traded for, until the pull is over.
        places = {"DOCKER_CONFIG": folder, "REGISTRY_AUTH_FILE": f"{folder}/auth.json"}
        words = ["login", "--username", login.username, "--password-stdin", login.host]
        commands.run(
            context,
            [_engine(context), *words],
            timeout_seconds=CALL_SECONDS,
            extra=places,
            secret_input=login.password,
        )
        commands.run(
            context,
            [_engine(context), "pull", image],
            timeout_seconds=context.deadline_seconds,
            extra=places,
        )
    return Outcome(message=f"Pulled {image}, logged in to {login.host} as {login.username}.")


def _login_of(context: StepContext) -> RegistryLogin | None:
    try:
        return context.registry_login()
    except SagaError as exc:
        raise StepFailed(f"The registry's credential cannot be used: {exc.message}") from exc


def back_up(context: StepContext) -> Outcome:
    """Record what runs: the container itself is what a rollback starts again."""
    found = _inspect(context, _name(context)) or {}
    previous = _version_of(found) or context.target.current_version or None
    message = f"{previous} runs." if previous else "Nothing runs here yet."
    return Outcome(message=message, result={"previous": previous})


def switch(context: StepContext) -> Outcome:
    _replace(context, context.version, reference(context.artifact_url, context.checksum))
    _wait_until_started(context)
    return Outcome(message=f"The container {_name(context)} runs {context.version}.")


def restore(context: StepContext) -> Outcome:
    """Start the container that was kept, or run the previous release's image anew."""
    if context.previous is None:
        _remove(context, _name(context))
        return Outcome(message="Nothing ran here before; the container was removed.")
    kept = _inspect(context, _kept_name(context))
    if kept is not None and _version_of(kept) == context.previous:
        _remove(context, _name(context))
        _call(context, "rename", _kept_name(context), _name(context))
        _call(context, "start", _name(context))
    elif _version_of(_inspect(context, _name(context)) or {}) == context.previous:
        # A worker was killed after it gave the name back; an engine starts what runs without harm.
        _call(context, "start", _name(context))
    elif context.previous_reference is None:
        raise StepFailed(f"No image of {context.previous} is on record, and its container is gone.")
    else:
        _replace(context, context.previous, context.previous_reference)
    _wait_until_started(context)
    return Outcome(message=f"The container {_name(context)} runs {context.previous} again.")


def stop(context: StepContext) -> Outcome:
    """Remove the container, and the one that was kept for a rollback."""
    for name in (_name(context), _kept_name(context)):
        _remove(context, name)
    return Outcome(message=f"The container {_name(context)} was removed.")


def clean_up(context: StepContext) -> Outcome:
    _remove(context, _kept_name(context))
    return Outcome(message="The container that was replaced is removed.")


STEPS: dict[str, Callable[[StepContext], Outcome]] = {
    "fetch": fetch,
    "back up": back_up,
    "switch": switch,
    "restore": restore,
    "clean up": clean_up,
}


# --- One container --------------------------------------------------------------------------------


def _replace(context: StepContext, version: str, reference: str) -> None:
    """Give the name to a container of this job, unless it has it; what had it is stopped and kept."""
    name, found = _name(context), _inspect(context, _name(context))
    if found is not None and _labels_of(found).get("saga.job") == context.job_id:
        if _version_of(found) == version:
            _call(context, "start", name)
            return
        _remove(context, name)
    elif found is not None:
        _remove(context, _kept_name(context))
        _call(context, "stop", name)
        _call(context, "rename", name, _kept_name(context))
    _call(
        context,
        "run",
        *_arguments(context, version),
        reference,
        *_options(context).get("command", []),
    )


def _arguments(context: StepContext, version: str) -> list[str]:
    """Values of variables are not on the command line, where every user of the host could read them."""
    options = _options(context)
    labels = {
        VERSION_LABEL: version,
        "saga.job": context.job_id,
        "saga.service": context.service_name,
    }
    words = ["--detach", "--name", _name(context), "--restart", options.get("restart_policy", "no")]
    for name, value in labels.items():
        words += ["--label", f"{name}={value}"]
    for name in (*context.environment.plain, *context.environment.sealed, *commands.SAGA_VARIABLES):
        words += ["--env", name]
    for flag, key in (("--publish", "ports"), ("--volume", "volumes")):
        for value in options.get(key, []):
            words += [flag, value]
    if network := options.get("network"):
        words += ["--network", network]
    return words


def _wait_until_started(context: StepContext) -> None:
    """Wait until it runs and its image's own health check, if any, passes."""
    ends_at = time.monotonic() + float(_options(context).get("start_seconds", START_SECONDS))
    while True:
        state = (_inspect(context, _name(context)) or {}).get("State") or {}
        health = (state.get("Health") or state.get("Healthcheck") or {}).get("Status") or "healthy"
        if state.get("Running") and health == "healthy":
            return
        is_late = time.monotonic() > ends_at
        if not state.get("Running") or health == "unhealthy" or is_late:
            said = _call(context, "logs", "--tail", "50", _name(context))
            condition = health if state.get("Running") else "not running"
            reason = f"The container {_name(context)} did not start: it is {condition}."
            raise StepFailed(commands.with_output(reason, said))
        context.checkpoint()
        time.sleep(POLL_SECONDS)


def _remove(context: StepContext, name: str) -> None:
    if _inspect(context, name) is not None:
        _call(context, "rm", "--force", name)


def _inspect(context: StepContext, name: str) -> dict[str, Any] | None:
    """Return what the engine knows of a container, None where it has none of this name."""
    listed = _call(context, "ps", "--all", "--filter", f"name=^{name}$", "--format", "{{.Names}}")
    if name not in listed.split():
        return None
    document = commands.run(
        context,
        [_engine(context), "container", "inspect", name],
        timeout_seconds=CALL_SECONDS,
        limit=MAX_DOCUMENT_BYTES,
        is_masked=False,
    )
    found = json.loads(document)[0]
    return found if isinstance(found, dict) else None


def _labels_of(found: dict[str, Any]) -> dict[str, str]:
    return (found.get("Config") or {}).get("Labels") or {}


def _version_of(found: dict[str, Any]) -> str | None:
    return _labels_of(found).get(VERSION_LABEL)


def _call(context: StepContext, *words: str, seconds: float = CALL_SECONDS) -> str:
    return commands.run(context, [_engine(context), *words], timeout_seconds=seconds)


def _engine(context: StepContext) -> str:
    return str(_options(context).get("engine", ENGINES[0]))


def _options(context: StepContext) -> dict[str, Any]:
    return dict(context.target.installer_options)


def _name(context: StepContext) -> str:
    return f"saga-{context.service_name}-{context.target.name}"


def _kept_name(context: StepContext) -> str:
    return f"{_name(context)}-previous"


def reference(url: str, checksum: str) -> str:
    """Return ``repository@sha256:…`` where the digest is known: a tag may move meanwhile."""
    if not checksum.startswith("sha256:") or "@" in url:
        return url
    repository, _, tag = url.rpartition(":")
    has_tag = bool(repository) and "/" not in tag
    return f"{repository if has_tag else url}@{checksum}"
