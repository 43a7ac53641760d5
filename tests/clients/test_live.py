"""What a terminal shows of a job."""

from __future__ import annotations

from typing import Any

import click
from saga_client import models
from saga_client.command_line import live


def step(name: str, target: str | None, status: str, message: str = "") -> dict[str, Any]:
    return {"name": name, "target": target, "status": status, "message": message}


def job(*steps: dict[str, Any], **more: Any) -> models.Job:
    document = {
        "job_id": "deploy-shop-1",
        "kind": "deploy",
        "service_name": "shop",
        "version": "1.4.0",
        "status": "running",
        "progress": 50,
        "steps": list(steps),
        **more,
    }
    return models.job_of(document)


def test_each_target_has_a_line_with_the_step_that_is_under_way():
    shown = live.lines_of(
        job(
            step("fetch", "a", "succeeded"),
            step("switch", "a", "running", "half\x1b[2J way"),
            step("pause", None, "pending"),
            step("fetch", "b", "pending"),
        )
    )

    lines = [click.unstyle(line) for line in shown]
    assert "shop 1.4.0" in lines[0] and "50 %  running" in lines[0]  # noqa: PT018
    assert [line.split()[:3] for line in lines[1:]] == [
        ["…", "a", "1/2"],
        ["·", "all", "0/1"],
        ["·", "b", "0/1"],
    ]
    assert "\x1b" not in lines[1]


def test_metrics_are_gates_of_their_own():
    shown = live.lines_of(
        job(metrics=[{"name": "errors", "is_good": False, "message": "5 > 1", "is_dry_run": False}])
    )

    assert "✗" in shown[-1]
    assert "errors: 5 > 1" in shown[-1]


def test_second_drawing_takes_the_place_of_the_first(capsys: Any):
    board = live.Board()
    board.draw(["one", "two"])

    board.draw(["three"])

    assert capsys.readouterr().out.endswith("\x1b[2A\r\x1b[Jthree\n")
