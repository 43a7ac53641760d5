"""Every shell block (```sh) of README and docs runs as printed, against a stack of its own.

The test replaces only what names a place on this machine: ports, the data folder and the interpreter.
Blocks without a language start something that does not end or need a receiver outside; their commands
are checked for syntax.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from saga_project.local.embedded import processes
from tests import stack as stacks

#: One stack serves all documents.
pytestmark = pytest.mark.xdist_group("documents")

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
#: A block may stand in a list.
BLOCK = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.DOTALL | re.MULTILINE)
#: An answer of 400 or above ends the script, as does any other command that fails.
PRELUDE = """
set -euo pipefail
curl() { command curl --silent --show-error --fail-with-body --max-time 30 "$@"; }
"""


def blocks(document: Path, language: str) -> list[str]:
    found = BLOCK.findall(document.read_text())
    return [textwrap.dedent(text) for _, name, text in found if name == language]


RUNNABLE = [document for document in DOCUMENTS if blocks(document, "sh")]


@pytest.fixture(scope="module")
def stack() -> Iterator[stacks.Stack]:
    if shutil.which("curl") is None:
        pytest.skip("The documents' commands need curl.")
    with stacks.running() as running:
        yield running


def localised(text: str, stack: stacks.Stack) -> str:
    """Return a script that uses this stack instead of the one that `make run` starts."""
    for port in ("9000", "8101"):
        text = re.sub(rf"\b{port}\b", str(processes.any_free_port()), text)
    text = re.sub(r"\b8030\b", str(stack.port), text)
    text = re.sub(r"(?<![\w/])var/", f"{stack.environment['SAGA_DATA_DIR']}/", text)
    text = text.replace("saga.backup", f"{stack.environment['SAGA_DATA_DIR']}/saga.backup")
    text = text.replace(".venv/bin/python", sys.executable)
    return re.sub(r"(?<!\S)\.venv/bin/saga\b", f"{sys.executable} -m saga_client", text)


def environment(stack: stacks.Stack) -> dict[str, str]:
    """Return the stack's environment, with the command line `saga` of this checkout for it."""
    return {
        **stack.environment,
        "PYTHONPATH": str(ROOT / "clients" / "python" / "src"),
        "SAGA_URL": f"http://127.0.0.1:{stack.port}",
        "XDG_CONFIG_HOME": str(stack.folder),
    }


def run(script: str, stack: stacks.Stack) -> tuple[int, str]:
    """Run in a process group of its own, so that nothing it starts stays behind."""
    with subprocess.Popen(
        ["bash", "-c", script],
        cwd=ROOT,
        env=environment(stack),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            output, _ = process.communicate(timeout=300)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    return process.returncode, output


@pytest.mark.parametrize("document", RUNNABLE, ids=lambda document: document.stem)
def test_shell_blocks_run_as_printed(document: Path, stack: stacks.Stack) -> None:
    script = localised("".join(blocks(document, "sh")), stack)

    status, output = run(PRELUDE + script, stack)

    assert status == 0, output


def test_command_that_fails_is_noticed(stack: stacks.Stack) -> None:
    block = "curl http://127.0.0.1:8030/api/v1/nothing-here\ntrue\n"

    status, _ = run(PRELUDE + localised(block, stack), stack)

    assert status != 0


@pytest.mark.parametrize("document", RUNNABLE, ids=lambda document: document.stem)
def test_other_blocks_are_valid_shell(document: Path) -> None:
    for block in blocks(document, ""):
        checked = subprocess.run(
            ["bash", "-n"], input=block, capture_output=True, text=True, check=False
        )

        assert checked.returncode == 0, (block, checked.stderr)


def test_readme_has_at_most_900_words() -> None:
    assert len((ROOT / "README.md").read_text().split()) <= 900
