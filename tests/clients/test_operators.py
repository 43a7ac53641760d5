"""What operators do by the command line: maintenance, channels, figures, first services."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from saga_client.command_line import debug

from saga_project.local.embedded import processes
from tests import stack as stacks
from tests import waiting
from tests.clients.conftest import SOURCE, CommandLine

pytestmark = pytest.mark.xdist_group("clients")


def register(saga: CommandLine, name: str, *instances: str) -> None:
    for instance_id in instances:
        url = f"http://127.0.0.1:9/{instance_id}"
        done = saga("services", "register", name, url, "--instance-id", instance_id)
        assert done.status == 0, done.err


def test_instance_is_drained_and_put_back(saga: CommandLine):
    register(saga, "drained", "a", "b")

    unnamed = saga("services", "drain", "drained")
    begun = saga.read("services", "drain", "drained", "--instance-id", "b", "--reason", "disk")
    found = saga.read("services", "get", "drained")
    ended = saga.read("services", "drain", "drained", "--instance-id", "b", "--undo")

    assert unnamed.status == 2
    assert "--instance-id (a, b)" in unnamed.err
    assert [(row["instance_id"], row["reason"]) for row in begun["instances"]] == [("b", "disk")]
    assert found["service_url"].endswith("/a")
    assert ended["instances"] == []


def test_service_is_in_maintenance_until_it_is_not(saga: CommandLine):
    register(saga, "maintained", "a")

    saga("services", "maintenance", "maintained", "on", "--reason", "new disks")
    hidden = saga("services", "get", "maintained")
    shown = saga.read("services", "maintenance", "maintained")
    saga("services", "maintenance", "maintained", "off")

    assert hidden.status == 1
    assert (shown["is_in_maintenance"], shown["reason"]) == (True, "new disks")
    assert saga("services", "get", "maintained").status == 0


def test_channel_is_created_changed_and_deleted(saga: CommandLine):
    made = saga.read(
        "channels", "create", "channel=ops-1", "url=http://127.0.0.1:9/", "format=slack"
    )
    key = str(made["id"])

    changed = saga.read("channels", "set", key, "url=http://127.0.0.1:9/other")
    saga("channels", "delete", key, "--yes")

    assert (made["format"], changed["url"]) == ("slack", "http://127.0.0.1:9/other")
    assert saga("channels", "get", key).status == 1


def test_debug_shows_redis_cache_and_figures(saga: CommandLine):
    register(saga, "counted", "a")

    redis, cache = saga.read("debug", "redis"), saga.read("debug", "cache")
    stats = saga.read("debug", "stats")
    everything = saga("debug", "stats", "--all")

    assert redis["redis"] == "connected"
    assert set(redis["queues"]) >= {"updates"}
    assert (cache["web_processes"], cache["is_coherent"]) == (1, True)
    assert stats["services"] >= 1
    assert stats["requests"]
    assert "saga_cache_services" in everything.out


def test_figures_are_read_with_labels_and_without():
    text = (
        "# HELP x y\n"
        "x 3\n"
        'y_total{a="1,\\"2\\"",b="}"} 2.5\n'
        'y_total{a="z",b=""} 1e3 1700000000\n'
        "z +Inf\n"
        "broken\n"
    )

    assert debug.parse(text) == [
        ("x", {}, 3.0),
        ("y_total", {"a": '1,"2"', "b": "}"}, 2.5),
        ("y_total", {"a": "z", "b": ""}, 1000.0),
        ("z", {}, float("inf")),
    ]


def test_deployment_to_a_node_gives_the_service_a_target_there_once(
    saga: CommandLine, tmp_path: Path
):
    (tmp_path / "shop").write_text("binary")
    artifact = ("--artifact", str(tmp_path / "shop"), "--node", "far-1")

    first = saga("deploy", "placed", "1.0.0", *artifact)
    job = saga.read("jobs", "list", "--service", "placed")["jobs"][0]["job_id"]
    saga("jobs", "abort", job)
    saga("deploy", "placed", "1.0.0", *artifact)

    assert first.status == 0, first.err
    [target] = saga.read("targets", "list", "--service", "placed")["targets"]
    assert (target["name"], target["node"]) == ("far-1", "far-1")


@pytest.mark.parametrize(
    ("language", "program"),
    [("python", [sys.executable, "service.py"]), ("node", ["node", "service.mjs"])],
)
def test_generated_service_answers_and_is_registered_while_it_runs(
    language: str,
    program: list[str],
    saga: CommandLine,
    stack: stacks.Stack,
    token: str,
    tmp_path: Path,
):
    if shutil.which(program[0]) is None:
        pytest.skip(f"{program[0]} is not installed.")
    name, folder = f"made-in-{language}", tmp_path / "made"
    port = processes.any_free_port()
    options = ("--language", language, "--port", str(port), "--folder", str(folder))
    written = saga("generate", "service", name, *options)
    again = saga("generate", "service", name, *options)

    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(SOURCE),
        "SAGA_URL": f"http://127.0.0.1:{stack.port}",
        "SAGA_TOKEN": token,
        "HOME": str(tmp_path),
    }
    with subprocess.Popen(program, cwd=folder, env=environment, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout
            said = process.stdout.readline()
            found = saga.read("services", "get", name)
            process.send_signal(signal.SIGTERM)
            process.wait(30)
        finally:
            process.kill()

    assert (written.status, again.status) == (0, 2), written.err
    assert f"{name} 0.1.0 answers" in said.decode()
    assert found["service_url"] == f"http://127.0.0.1:{port}"
    waiting.until(lambda: saga("services", "get", name).status == 1)
