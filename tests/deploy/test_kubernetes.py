"""The Kustomize base: Kubernetes' own schemas accept it, and it runs what ``make run`` runs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.conf import settings

from saga_project.local import stack
from tests.stack import ROOT

BASE = ROOT / "deploy" / "kubernetes"
VALIDATE = Path(sys.executable).with_name("kubernetes-validate")
BACKGROUND = {"sweeps", "worker", "delivery", "checks", "beat"}
#: How a program is started is its service manager's affair; these are the launcher's own ways.
LAUNCHER_ONLY = {"--quiet", "--without-gossip", "--without-mingle"}


def _documents(name: str) -> list[dict[str, Any]]:
    return [each for each in yaml.safe_load_all((BASE / name).read_text()) if each]


def _kustomization() -> dict[str, Any]:
    [document] = _documents("kustomization.yaml")
    return document


def _all() -> list[dict[str, Any]]:
    return [each for name in _kustomization()["resources"] for each in _documents(name)]


def _pods() -> dict[str, dict[str, Any]]:
    return {
        each["metadata"]["name"].removeprefix("saga-"): each["spec"]["template"]["spec"]
        for each in _all()
        if "template" in each["spec"]
    }


def _command(name: str) -> set[str]:
    [container] = _pods()[name]["containers"]
    words = [word for word in container["command"] if word not in ("celery", "python", "-m")]
    return {word.replace("$(SAGA_NODE_NAME)", settings.SAGA_NODE_NAME) for word in words}


def test_kubernetes_accepts_every_object() -> None:
    names = sorted({*_kustomization()["resources"]})

    done = subprocess.run(
        [VALIDATE, "--strict", *names], cwd=BASE, check=False, capture_output=True, text=True
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("passed") >= len(names)


def test_every_file_is_in_the_kustomization() -> None:
    files = {file.name for file in BASE.glob("*.yaml")}

    assert {*_kustomization()["resources"], "kustomization.yaml"} == files


@pytest.mark.parametrize("name", sorted(BACKGROUND))
def test_background_pods_run_the_programs_of_the_launcher(name: str) -> None:
    [program] = [each for each in stack._background_programs() if each.name == name]
    words = set(program.argv[program.argv.index("-m") + 1 :]) - {"celery"} - LAUNCHER_ONLY

    assert _command(name) == words


def test_web_pods_run_the_web_processes_of_the_launcher() -> None:
    words = set(stack._web(3)[3:]) - {"--fd=3"}

    assert _command("web") - {"uvicorn", "--host=0.0.0.0", "--port=8030"} == words


def test_no_pod_is_privileged_or_writes_outside_its_volumes() -> None:
    for name, pod in _pods().items():
        assert pod["securityContext"]["runAsNonRoot"], name
        assert not pod["automountServiceAccountToken"], name
        for container in pod["containers"]:
            context = container["securityContext"]
            assert context["readOnlyRootFilesystem"], name
            assert not context["allowPrivilegeEscalation"], name
            assert context["capabilities"]["drop"] == ["ALL"], name


def test_secrets_are_named_and_not_written() -> None:
    for name, pod in _pods().items():
        sources = pod["containers"][0]["envFrom"]
        assert {"secretRef": {"name": "saga"}} in sources, name
    literals = _kustomization()["configMapGenerator"][0]["literals"]
    named = {literal.partition("=")[0] for literal in literals}
    assert not named & {"DATABASE_URL", "REDIS_URL", "SAGA_SECRET_KEY", "SAGA_ENCRYPTION_KEYS"}
    assert all(hasattr(settings, name) or name == "SAGA_ALLOWED_HOSTS" for name in named)


def test_a_disruption_leaves_a_web_pod_and_labels_meet() -> None:
    [budget] = [each for each in _all() if each["kind"] == "PodDisruptionBudget"]
    [service] = [each for each in _all() if each["kind"] == "Service"]
    [web] = [
        each
        for each in _all()
        if each["metadata"]["name"] == "saga-web" and "replicas" in each["spec"]
    ]

    labels = web["spec"]["template"]["metadata"]["labels"]
    assert budget["spec"]["selector"]["matchLabels"] == labels == service["spec"]["selector"]
    assert web["spec"]["replicas"] > budget["spec"]["minAvailable"]
