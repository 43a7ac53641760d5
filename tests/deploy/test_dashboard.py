"""A real Prometheus scrapes a real stack: dashboard queries return data, alerts are evaluated."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

from saga_project.local.embedded import processes
from tests import stack as stacks
from tests import waiting

FOLDER = Path(__file__).resolve().parents[2] / "deploy" / "monitoring"
PROMETHEUS = shutil.which("prometheus")

pytestmark = [
    pytest.mark.xdist_group("dashboard"),
    pytest.mark.skipif(PROMETHEUS is None, reason="prometheus (apt: prometheus) is missing"),
]
Ask = Callable[..., Any]


@pytest.fixture(scope="module")
def stack() -> Iterator[stacks.Stack]:
    """A stack that did a little of everything: a service, a deployment that fails, a delivery that fails."""
    nowhere = "http://127.0.0.1:1"
    service = {"service_name": "payment"}
    calls = {
        "services/register": {**service, "service_url": nowhere},
        "webhooks/config": {**service, "endpoints": {"ops": nowhere}},
        "webhooks/notify": {**service, "channel": "ops", "message": "out", "severity": "info"},
        "webhooks/update": {**service, "version": "1.0.0", "artifact_url": f"{nowhere}/a.tar.gz"},
        "webhooks/deploy": {**service, "version": "1.0.0"},
    }
    with stacks.running() as running:
        for path, body in calls.items():
            status, answer = running.call("POST", f"/api/v1/{path}", body, timeout=60)
            assert status < 300, answer
        yield running


@pytest.fixture(scope="module")
def ask(stack: stacks.Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ask]:
    """Return a function that asks the API of a Prometheus, which scrapes the stack each second."""
    assert PROMETHEUS
    folder, port = tmp_path_factory.mktemp("prometheus"), processes.any_free_port()
    document = yaml.safe_load((FOLDER / "prometheus.yml").read_text())
    document["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    document["rule_files"] = [str(FOLDER / "rules.yml")]
    [scrape] = document["scrape_configs"]
    scrape["scrape_interval"] = "1s"
    scrape["static_configs"] = [{"targets": [f"127.0.0.1:{stack.port}"]}]
    (folder / "prometheus.yml").write_text(yaml.safe_dump(document))
    command = [PROMETHEUS, "--config.file=prometheus.yml", "--storage.tsdb.path=data"]

    def get(path: str, **parameters: str) -> Any:
        try:
            url = f"http://127.0.0.1:{port}/api/v1/{path}"
            answer = requests.get(url, params=parameters, timeout=60)
        except requests.ConnectionError:  # it has not begun
            return {}
        return answer.json()["data"] if answer.ok else {}  # 503 while it begins

    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [*command, f"--web.listen-address=127.0.0.1:{port}"], cwd=folder, stdout=log, stderr=log
        )
        try:
            yield get
        finally:
            process.terminate()
            process.wait(60)


def _queries() -> list[str]:
    dashboard = json.loads((FOLDER / "dashboard.json").read_text())
    return [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]


@pytest.mark.parametrize("query", _queries())
def test_a_query_of_the_dashboard_returns_data(ask: Ask, query: str) -> None:
    found = waiting.until(lambda: ask("query", query=query).get("result"), seconds=180)

    assert all("value" in series for series in found)


def test_alerts_are_evaluated_without_an_error(ask: Ask) -> None:
    def rules() -> list[dict[str, Any]]:
        return [rule for group in ask("rules").get("groups", []) for rule in group["rules"]]

    waiting.until(
        lambda: (known := rules()) and all(rule["health"] != "unknown" for rule in known),
        seconds=180,
    )

    assert {rule["health"] for rule in rules()} == {"ok"}
