"""Alerts and dashboard for Prometheus and Grafana: their metrics exist, and promtool accepts them."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.ci import openapi_tools

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "deploy" / "monitoring"
METRIC = re.compile(
    r'\b(gauge|counter|Counter|Histogram|Gauge|GaugeMetricFamily|CounterMetricFamily)\(\s*"(saga_\w+)"'
)
PROMTOOL = shutil.which("promtool")
needs_promtool = pytest.mark.skipif(
    PROMTOOL is None, reason="promtool (apt: prometheus) is missing"
)


def _alerts() -> list[str]:
    document = yaml.safe_load((FOLDER / "rules.yml").read_text())
    return [rule["expr"] for group in document["groups"] for rule in group["rules"]]


def _dashboard() -> dict[str, Any]:
    document: dict[str, Any] = json.loads((FOLDER / "dashboard.json").read_text())
    return document


def _queries() -> list[str]:
    return [target["expr"] for panel in _dashboard()["panels"] for target in panel["targets"]]


def _promtool(*arguments: str | Path) -> str:
    assert PROMTOOL
    done = subprocess.run(
        [PROMTOOL, *arguments], check=False, capture_output=True, text=True, cwd=FOLDER
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def _defined() -> set[str]:
    """Return the names in the source: a scrape shows a counter only once it has counted."""
    return set(re.findall(r'"(saga_\w+)"', " ".join(_sources())))


def _sources() -> list[str]:
    return [
        file.read_text()
        for package in ("saga_project", "registry", "updates", "webhooks")
        for file in (ROOT / package).rglob("*.py")
    ]


def test_every_metric_is_documented_and_every_documented_metric_exists() -> None:
    page = (ROOT / "docs" / "production.md").read_text()
    table = page.split("\n## Metrics\n")[1].split("\n## ")[0]
    documented = re.findall(r"`(saga_\w+)`", table)
    exposed = {
        name + ("_total" if kind.lower().startswith("counter") else "")
        for kind, name in METRIC.findall("\n".join(_sources()))
    }

    assert len(exposed) > 25
    assert sorted(documented) == sorted(exposed)


def test_every_metric_that_alerts_and_dashboard_name_is_defined() -> None:
    named = set(re.findall(r"\bsaga_\w+", " ".join([*_alerts(), *_queries()])))

    assert len(named) > 15
    assert {re.sub("_(total|bucket)$", "", name) for name in named} - _defined() == set()


@needs_promtool
def test_alerts_fire_and_end_as_their_tests_say() -> None:
    assert "SUCCESS" in _promtool("check", "rules", "rules.yml")
    assert "SUCCESS" in _promtool("test", "rules", "rules_test.yml")
    assert "SUCCESS" in _promtool("check", "config", "prometheus.yml")


@needs_promtool
def test_every_query_of_the_dashboard_can_be_parsed(tmp_path: Path) -> None:
    rules = [
        {"record": f"query:{number}", "expr": query} for number, query in enumerate(_queries())
    ]
    file = tmp_path / "queries.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))

    assert f"{len(rules)} rules found" in _promtool("check", "rules", file)


@pytest.mark.parametrize(
    "fault", [{}, {"refresh": 5}, {"pannels": []}], ids=["as it is", "type", "name"]
)
def test_dashboard_is_one_by_the_schema_of_grafana(fault: dict[str, Any], tmp_path: Path) -> None:
    tools = openapi_tools.with_npm()
    (tmp_path / "node_modules").symlink_to(tools.WORK / "node_modules")
    schema = "@grafana/schema/dist/esm/raw/dashboard/x/Dashboard_types.gen"
    text = json.dumps({**_dashboard(), **fault})
    program = (
        f'import type {{ Dashboard }} from "{schema}";\nexport const it: Dashboard = {text};\n'
    )
    (tmp_path / "dashboard.ts").write_text(program)
    compiler = [str(tools.BINARIES / "tsc"), "--noEmit", "--strict", "--skipLibCheck"]
    modules = ["--module", "esnext", "--moduleResolution", "bundler"]

    def check() -> str:
        said: str = tools.run([*compiler, *modules, "dashboard.ts"], folder=tmp_path)
        return said

    if fault:
        with pytest.raises(tools.ToolFailed, match="error TS"):
            check()
    else:
        check()
