"""What docs/deployments.md has people enter is what Saga takes."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from updates.artifacts.installers import container, hooks, systemd
from updates.rollouts import strategy_options, target_instances

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "deployments.md").read_text()
PYTHON, NODE, UNIT, CONTAINER, STRATEGIES = (
    "A Python app",
    "A Node app",
    "A systemd service",
    "A container",
    "Strategies",
)


def section(name: str) -> str:
    return re.split(r"^##+ ", PAGE.partition(f"### {name}\n")[2], maxsplit=1, flags=re.MULTILINE)[0]


def objects(text: str) -> list[Any]:
    """Return the JSON objects and lists of objects in backticks or blocks."""
    found = re.findall(r"`((?:\{\"|\[\{).*?)`", text) + re.findall(
        r"```json\n(.*?)```", text, re.DOTALL
    )
    return [json.loads(each) for each in found]


def test_a_python_app_is_described_as_it_is_configured() -> None:
    options, instances, hooked, commands = objects(section(PYTHON))

    assert list(commands) == ["build-python"]
    assert systemd.fault(options) is None
    assert target_instances.fault(instances) is None
    assert hooks.fault(hooked) is None
    assert hooked["after_unpack"]["command"] in commands


def test_a_node_app_is_described_as_it_is_configured() -> None:
    options, commands = objects(section(NODE))

    assert systemd.fault(options) is None
    assert commands["build-node"][0] == "npm"


def test_units_and_containers_are_described_as_they_are_configured() -> None:
    unit = objects(section(UNIT))[0]
    options, instances = objects(section(CONTAINER))

    assert systemd.fault({"exec_start": "{current}/bin/run", **unit}) is None
    assert container.fault(options) is None
    assert target_instances.fault(instances) is None


def test_waves_are_described_as_they_are_read() -> None:
    [waves] = [each for each in objects(section(STRATEGIES)) if "waves" in each]

    assert len(strategy_options.read(waves).waves) == 2
