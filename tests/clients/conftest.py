"""One stack for all tests of the clients, and the command line against it."""

from __future__ import annotations

import io
import json
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from saga_client.command_line import main

from tests import stack as stacks

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "clients" / "python" / "src"


@pytest.fixture(scope="session")
def stack() -> Iterator[stacks.Stack]:
    with stacks.running(
        SAGA_WEB_PROCESSES="1", SAGA_AUTH="local-token", SAGA_BAKE_SECONDS="0"
    ) as running:
        yield running


@pytest.fixture(scope="session")
def token(stack: stacks.Stack) -> str:
    """Return a token with every scope."""
    return (stack.folder / "var" / "secrets" / "local_token").read_text()


@dataclass
class Done:
    """A command that has ended."""

    status: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        return json.loads(self.out)


class CommandLine:
    """``saga`` in this process, with an environment and a configuration of its own."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
        self._monkeypatch = monkeypatch
        self.set(XDG_CONFIG_HOME=str(folder), SAGA_DATA_DIR=str(folder / "no-data"))

    def set(self, **variables: str) -> None:
        for name, text in variables.items():
            self._monkeypatch.setenv(name, text)

    def __call__(self, *words: str, given: str = "") -> Done:
        out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", newline="") for _ in range(2))
        with self._monkeypatch.context() as patched:
            patched.setattr(sys, "argv", ["saga", *words])
            patched.setattr(sys, "stdin", io.StringIO(given))
            patched.setattr(sys, "stdout", out)
            patched.setattr(sys, "stderr", err)
            with pytest.raises(SystemExit) as ended:
                main.main()
        for stream in (out, err):
            stream.flush()
        texts = [stream.buffer.getvalue().decode() for stream in (out, err)]
        assert isinstance(ended.value.code, int)
        return Done(ended.value.code, *texts)

    def read(self, *words: str) -> Any:
        """Return what a command that succeeds prints as JSON."""
        done = self(*words, "--output", "json")
        assert done.status == 0, done.err
        return done.document


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> CommandLine:
    """The command line without an address."""
    for name in [name for name in os.environ if name in {"SAGA_URL", "SAGA_TOKEN", "SAGA_PROFILE"}]:
        monkeypatch.delenv(name)
    return CommandLine(monkeypatch, tmp_path)


@pytest.fixture
def saga(alone: CommandLine, stack: stacks.Stack, token: str) -> CommandLine:
    """The command line with the address of the stack and a token of every right."""
    alone.set(SAGA_URL=f"http://127.0.0.1:{stack.port}", SAGA_TOKEN=token)
    return alone
