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
from updates.step_context import Outcome, RegistryLogin, StepFailed, Work

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


def fetch(work: Work) -> Outcome:
    """Pull the image, by its digest where one was announced."""
    if work.artifact_type != "image":
        raise StepFailed("A container target installs images; the artifact's type is another.")
    if work.is_signature_required:
        raise StepFailed("The policy asks for a signature, and there is none for images.")
    image = reference(work.artifact_url, work.checksum)
    login = _login_of(work)
    if login is None:
        _call(work, "pull", image, seconds=work.deadline_seconds)
        return Outcome(message=f"Pulled {image}.")
    with tempfile.TemporaryDirectory(prefix="saga-login-") as folder:
        # Here the engine keeps the password, or the token it was traded for, until the pull is over.
        places = {"DOCKER_CONFIG": folder, "REGISTRY_AUTH_FILE": f"{folder}/auth.json"}
        words = ["login", "--username", login.username, "--password-stdin", login.host]
        commands.run(
            work,
            [_engine(work), *words],
            timeout_seconds=CALL_SECONDS,
            extra=places,
            secret_input=login.password,
        )
        commands.run(
            work,
            [_engine(work), "pull", image],
            timeout_seconds=work.deadline_seconds,
            extra=places,
        )
    return Outcome(message=f"Pulled {image}, logged in to {login.host} as {login.username}.")


def _login_of(work: Work) -> RegistryLogin | None:
    try:
        return work.registry_login()
    except SagaError as exc:
        raise StepFailed(f"The registry's credential cannot be used: {exc.message}") from exc


def back_up(work: Work) -> Outcome:
    """Record what runs: the container itself is what a rollback starts again."""
    found = _inspect(work, _name(work)) or {}
    previous = _version_of(found) or work.target.current_version or None
    message = f"{previous} runs." if previous else "Nothing runs here yet."
    return Outcome(message=message, result={"previous": previous})


def switch(work: Work) -> Outcome:
    _replace(work, work.version, reference(work.artifact_url, work.checksum))
    _wait_until_started(work)
    return Outcome(message=f"The container {_name(work)} runs {work.version}.")


def restore(work: Work) -> Outcome:
    """Start the container that was kept, or run the previous release's image anew."""
    if work.previous is None:
        _remove(work, _name(work))
        return Outcome(message="Nothing ran here before; the container was removed.")
    kept = _inspect(work, _kept_name(work))
    if kept is not None and _version_of(kept) == work.previous:
        _remove(work, _name(work))
        _call(work, "rename", _kept_name(work), _name(work))
        _call(work, "start", _name(work))
    elif _version_of(_inspect(work, _name(work)) or {}) == work.previous:
        # A worker was killed after it gave the name back; an engine starts what runs without harm.
        _call(work, "start", _name(work))
    elif work.previous_reference is None:
        raise StepFailed(f"No image of {work.previous} is on record, and its container is gone.")
    else:
        _replace(work, work.previous, work.previous_reference)
    _wait_until_started(work)
    return Outcome(message=f"The container {_name(work)} runs {work.previous} again.")


def stop(work: Work) -> Outcome:
    """Remove the container, and the one that was kept for a rollback."""
    for name in (_name(work), _kept_name(work)):
        _remove(work, name)
    return Outcome(message=f"The container {_name(work)} was removed.")


def clean_up(work: Work) -> Outcome:
    _remove(work, _kept_name(work))
    return Outcome(message="The container that was replaced is removed.")


STEPS: dict[str, Callable[[Work], Outcome]] = {
    "fetch": fetch,
    "back up": back_up,
    "switch": switch,
    "restore": restore,
    "clean up": clean_up,
}


# --- One container --------------------------------------------------------------------------------


def _replace(work: Work, version: str, reference: str) -> None:
    """Give the name to a container of this job, unless it has it; what had it is stopped and kept."""
    name, found = _name(work), _inspect(work, _name(work))
    if found is not None and _labels_of(found).get("saga.job") == work.job_id:
        if _version_of(found) == version:
            _call(work, "start", name)
            return
        _remove(work, name)
    elif found is not None:
        _remove(work, _kept_name(work))
        _call(work, "stop", name)
        _call(work, "rename", name, _kept_name(work))
    _call(work, "run", *_arguments(work, version), reference, *_options(work).get("command", []))


def _arguments(work: Work, version: str) -> list[str]:
    """Values of variables are not on the command line, where every user of the host could read them."""
    options = _options(work)
    labels = {VERSION_LABEL: version, "saga.job": work.job_id, "saga.service": work.service_name}
    words = ["--detach", "--name", _name(work), "--restart", options.get("restart_policy", "no")]
    for name, value in labels.items():
        words += ["--label", f"{name}={value}"]
    for name in (*work.environment.plain, *work.environment.sealed, *commands.SAGA_VARIABLES):
        words += ["--env", name]
    for flag, key in (("--publish", "ports"), ("--volume", "volumes")):
        for value in options.get(key, []):
            words += [flag, value]
    if network := options.get("network"):
        words += ["--network", network]
    return words


def _wait_until_started(work: Work) -> None:
    """Wait until it runs and its image's own health check, if any, passes."""
    ends_at = time.monotonic() + float(_options(work).get("start_seconds", START_SECONDS))
    while True:
        state = (_inspect(work, _name(work)) or {}).get("State") or {}
        health = (state.get("Health") or state.get("Healthcheck") or {}).get("Status") or "healthy"
        if state.get("Running") and health == "healthy":
            return
        is_late = time.monotonic() > ends_at
        if not state.get("Running") or health == "unhealthy" or is_late:
            said = _call(work, "logs", "--tail", "50", _name(work))
            condition = health if state.get("Running") else "not running"
            reason = f"The container {_name(work)} did not start: it is {condition}."
            raise StepFailed(commands.with_output(reason, said))
        work.checkpoint()
        time.sleep(POLL_SECONDS)


def _remove(work: Work, name: str) -> None:
    if _inspect(work, name) is not None:
        _call(work, "rm", "--force", name)


def _inspect(work: Work, name: str) -> dict[str, Any] | None:
    """Return what the engine knows of a container, None where it has none of this name."""
    listed = _call(work, "ps", "--all", "--filter", f"name=^{name}$", "--format", "{{.Names}}")
    if name not in listed.split():
        return None
    document = commands.run(
        work,
        [_engine(work), "container", "inspect", name],
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


def _call(work: Work, *words: str, seconds: float = CALL_SECONDS) -> str:
    return commands.run(work, [_engine(work), *words], timeout_seconds=seconds)


def _engine(work: Work) -> str:
    return str(_options(work).get("engine", ENGINES[0]))


def _options(work: Work) -> dict[str, Any]:
    return dict(work.target.installer_options)


def _name(work: Work) -> str:
    return f"saga-{work.service_name}-{work.target.name}"


def _kept_name(work: Work) -> str:
    return f"{_name(work)}-previous"


def reference(url: str, checksum: str) -> str:
    """Return ``repository@sha256:…`` where the digest is known: a tag may move meanwhile."""
    if not checksum.startswith("sha256:") or "@" in url:
        return url
    repository, _, tag = url.rpartition(":")
    has_tag = bool(repository) and "/" not in tag
    return f"{repository if has_tag else url}@{checksum}"
