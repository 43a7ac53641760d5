"""The examples, each run where its runtime is present, and the templates for pipelines."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import saga_client
import yaml
from pytest_httpserver import HTTPServer

from tests import stack as stacks
from tests import waiting
from tests.clients.conftest import ROOT, SOURCE

pytestmark = pytest.mark.xdist_group("clients")

EXAMPLES = ROOT / "clients" / "examples"
RUNTIMES = {
    "register.py": sys.executable,
    "register.sh": "sh",
    "register.mjs": "node",
    "register.go": "go",
}


def test_every_example_is_run():
    assert {file.name for file in EXAMPLES.glob("register.*")} == set(RUNTIMES)


def command_of(name: str, folder: Path) -> list[str]:
    """Return what runs the example; skips where its runtime is absent."""
    runtime = RUNTIMES[name]
    if shutil.which(runtime) is None:
        pytest.skip(f"{runtime} is not installed.")
    if runtime != "go":
        return [runtime, str(EXAMPLES / name)]
    # "go run" does not pass SIGTERM on to the program that it starts.
    program = folder / "register"
    environment = {**os.environ, "GOCACHE": str(folder / "cache")}
    build = ["go", "build", "-o", str(program), str(EXAMPLES / name)]
    subprocess.run(build, check=True, env=environment)
    return [str(program)]


@pytest.mark.parametrize("name", RUNTIMES)
def test_example_registers_comes_back_and_leaves(
    name: str, stack: stacks.Stack, token: str, tmp_path: Path
):
    command = command_of(name, tmp_path)
    saga = saga_client.Saga(f"http://127.0.0.1:{stack.port}", token=token)
    service = f"example-{name.rpartition('.')[2]}"
    environment = {
        **stack.environment,
        "PYTHONPATH": str(SOURCE),
        "SAGA_URL": saga.url,
        "SAGA_TOKEN": token,
        "HEARTBEAT_SECONDS": "0.3",
        "HOME": str(tmp_path),
        "XDG_CONFIG_HOME": str(tmp_path),
    }
    with subprocess.Popen([*command, service, "http://127.0.0.1:9100"], env=environment) as process:
        try:
            [first] = waiting.until(lambda: saga.instances(service), pause_seconds=0.1)
            saga.deregister(service)
            waiting.until(lambda: saga.instances(service), pause_seconds=0.1)
            process.send_signal(signal.SIGTERM)
            process.wait(30)
        finally:
            process.kill()

    assert first.url == "http://127.0.0.1:9100"
    assert saga.instances(service) == []


def _scripts() -> dict[str, str]:
    action = yaml.safe_load((ROOT / "deploy" / "ci" / "action.yml").read_text())
    gitlab = yaml.safe_load((ROOT / "deploy" / "ci" / "gitlab.yml").read_text())
    return {
        "github": action["runs"]["steps"][-1]["run"],
        "gitlab": gitlab[".saga-deploy"]["script"][-1],
    }


def _token_of_pipeline(kind: str, stack: stacks.Stack, token: str) -> str:
    """Return a token with no other scopes than those that the templates name."""
    saga = saga_client.Saga(f"http://127.0.0.1:{stack.port}", token=token)
    scopes = ["updates:deploy", "updates:read"]
    saga.call("POST", "/accounts", body={"name": f"pipeline-{kind}", "scopes": scopes})
    body = {"account": f"pipeline-{kind}", "scopes": scopes}
    return str(saga.call("POST", "/tokens", body=body)["token"])


@pytest.mark.parametrize("kind", ["github", "gitlab"])
def test_step_of_a_pipeline_deploys_and_fails_with_the_deployment(
    kind: str, stack: stacks.Stack, token: str, tmp_path: Path, httpserver: HTTPServer
):
    for folder in ("saga", ".saga"):  # where GitHub's step and GitLab's job install the client
        (tmp_path / folder / "bin").mkdir(parents=True)
        (tmp_path / folder / "bin" / "saga").write_text(
            f'#!/bin/sh\nexec {sys.executable} -m saga_client "$@"\n'
        )
        (tmp_path / folder / "bin" / "saga").chmod(0o755)
    httpserver.expect_request("/good").respond_with_data("binary")
    environment = {
        "PATH": "/usr/bin:/bin",
        "PYTHONPATH": str(SOURCE),
        "SAGA_URL": f"http://127.0.0.1:{stack.port}",
        "SAGA_TOKEN": _token_of_pipeline(kind, stack, token),
        "XDG_CONFIG_HOME": str(tmp_path),
        "RUNNER_TEMP": str(tmp_path),
        "CI_PROJECT_DIR": str(tmp_path),
        "SERVICE": f"pipeline-{kind}",
        "VERSION": "1.0.0",
        "CHECKSUM": "",
    }

    def run(version: str, path: str) -> subprocess.CompletedProcess[str]:
        variables = {"VERSION": version, "ARTIFACT_URL": httpserver.url_for(path)}
        return subprocess.run(
            ["sh", "-ec", _scripts()[kind]],
            env=environment | variables,
            check=False,
            capture_output=True,
            text=True,
        )

    good, bad = run("1.0.0", "/good"), run("1.1.0", "/missing")

    assert good.returncode == 0, good.stderr
    assert "succeeded" in good.stdout
    assert bad.returncode == 1
