"""`.ci/run`, the GitHub workflow and the pre-commit hooks run the same two commands."""

import re
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
COMMANDS = ["make check", "make test"]


def test_ci_script_runs_the_checks_and_then_the_tests():
    script = (ROOT / ".ci" / "run").read_text()

    assert re.findall(r"make \w+", script) == COMMANDS


def test_workflow_runs_both_commands_on_each_supported_python():
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "check.yml").read_text())
    [job] = workflow["jobs"].values()
    run = [step["run"] for step in job["steps"] if "run" in step]
    ours = [command for command in run if command.startswith("make ")]

    assert [command.removesuffix(" PYTHON=python") for command in ours] == COMMANDS
    assert job["strategy"]["matrix"]["python"] == ["3.11", "3.12", "3.13", "3.14"]


def test_pre_commit_hooks_run_both_commands():
    configuration = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    [repository] = configuration["repos"]

    assert [hook["entry"] for hook in repository["hooks"]] == COMMANDS
