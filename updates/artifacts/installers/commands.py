"""Run the commands that a node's settings allow: bounded, and with an environment of their own.

A command gets no variable of Saga's own process: it would hold the keys and the database's password.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from django.conf import settings

from updates.step_context import StepContext, StepFailed, TransientFailure

MAX_OUTPUT_BYTES = 4096
POLL_SECONDS = 0.05
DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
MASK = "***"
SAGA_VARIABLES = (
    "SAGA_SERVICE",
    "SAGA_INSTANCE_ID",
    "SAGA_VERSION",
    "SAGA_PREVIOUS_VERSION",
    "SAGA_RELEASE_DIR",
    "SAGA_INSTALL_ROOT",
    "SAGA_JOB_ID",
)


def run_allowed(
    context: StepContext,
    name: str,
    *,
    timeout_seconds: float,
    extra: Mapping[str, str] | None = None,
) -> str:
    """Run the command that SAGA_RESTART_COMMANDS has under ``name``; return its last output."""
    command = settings.SAGA_RESTART_COMMANDS.get(name)
    if not command:
        raise StepFailed(f"SAGA_RESTART_COMMANDS has no command named {name!r}.")
    filled = [fill(word, context) for word in command]
    return run(context, filled, timeout_seconds=timeout_seconds, extra=extra)


def run(
    context: StepContext,
    command: Sequence[str],
    *,
    timeout_seconds: float,
    extra: Mapping[str, str] | None = None,
    limit: int = MAX_OUTPUT_BYTES,
    is_masked: bool = True,
    secret_input: str = "",
) -> str:
    """Run a command in the install root and return the end of its output; raises StepFailed.

    ``secret_input`` is what it reads on its standard input, and is masked in its output.

    It gets a session of its own: what it leaves in the background outlives the worker. Its output goes
    to a file, since a service that keeps a pipe open would look like a command that does not end.
    """
    environment = {**environment_of(context), **(extra or {})}
    with tempfile.TemporaryFile() as output:
        try:
            context.root.mkdir(parents=True, exist_ok=True)
            process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE if secret_input else subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=context.root,
                env=environment,
                start_new_session=True,
            )
        except OSError as exc:
            raise StepFailed(f"{command[0]} could not be started: {exc.strerror}.") from exc
        _give(process, secret_input)
        status = _wait(process, context, timeout_seconds)
        said = _last_of(output, context, limit, is_masked=is_masked)
        said = said.replace(secret_input, MASK) if secret_input else said
        if status is None:
            reason = f"{command[0]} did not end within {timeout_seconds:.0f} s."
            raise TransientFailure(with_output(reason, said))
        if status:
            raise StepFailed(f"{command[0]} ended with status {status}: {said}")
        return said


def environment_of(context: StepContext) -> dict[str, str]:
    """Return the whole environment of a command: the basics, what the target declares, what is known."""
    return {
        "PATH": os.environ.get("PATH", DEFAULT_PATH),
        "HOME": pwd.getpwuid(os.geteuid()).pw_dir,
        "LANG": os.environ.get("LANG", "C.UTF-8"),
        **declared_of(context),
    }


def declared_of(context: StepContext) -> dict[str, str]:
    """Return what the target declares, and what Saga knows of the step."""
    return {
        **context.environment.plain,
        **context.environment.sealed,
        "SAGA_SERVICE": context.service_name,
        "SAGA_INSTANCE_ID": instance_of(context),
        "SAGA_VERSION": context.wanted_version,
        "SAGA_PREVIOUS_VERSION": context.replaced_version,
        "SAGA_RELEASE_DIR": str(release_dir(context)),
        "SAGA_INSTALL_ROOT": str(context.root),
        "SAGA_JOB_ID": context.job_id,
    }


def fill(text: str, context: StepContext) -> str:
    """Replace the placeholders of a command or URL; anything else in braces stays as it is."""
    values: Mapping[str, str] = {
        "{service}": context.service_name,
        "{instance}": instance_of(context),
        "{version}": context.wanted_version,
        "{previous_version}": context.replaced_version,
        "{release_dir}": str(release_dir(context)),
    }
    for placeholder, value in values.items():
        text = text.replace(placeholder, value)
    return text


def instance_of(context: StepContext) -> str:
    return context.target.instance_id or "default"


def release_dir(context: StepContext) -> Path:
    return context.root / "releases" / (context.wanted_version or context.version)


def _give(process: subprocess.Popen[bytes], text: str) -> None:
    """Write what the command reads; of one that ended before it read, the status decides."""
    if process.stdin is not None:
        with contextlib.suppress(BrokenPipeError), process.stdin as pipe:
            pipe.write(text.encode())


def _wait(
    process: subprocess.Popen[bytes], context: StepContext, timeout_seconds: float
) -> int | None:
    """Return the exit status, None after a timeout; the whole process group is ended where it must stop."""
    ends_at = time.monotonic() + timeout_seconds
    try:
        while time.monotonic() < ends_at:
            try:
                return process.wait(POLL_SECONDS)
            except subprocess.TimeoutExpired:
                context.checkpoint()
    except BaseException:
        _end_group(process)
        raise
    _end_group(process)
    return None


def _end_group(process: subprocess.Popen[bytes]) -> None:
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _last_of(output: IO[bytes], context: StepContext, limit: int, *, is_masked: bool) -> str:
    size = output.seek(0, os.SEEK_END)
    output.seek(max(0, size - limit))
    said = output.read()
    return readable(said, context) if is_masked else said.decode(errors="replace")


def readable(output: bytes, context: StepContext) -> str:
    """Return output for the journal: sealed values masked, and without what PostgreSQL refuses."""
    text = output.decode(errors="replace").replace("\0", "\ufffd").strip()
    for value in sorted(context.environment.sealed.values(), key=len, reverse=True):
        if value:
            text = text.replace(value, MASK)
    return text


def with_output(message: str, output: str) -> str:
    return f"{message} Its last output: {output}" if output else message
