"""The agent of a node reports what its own steps found, and decides nothing for other nodes."""

from __future__ import annotations

from typing import Any

import pytest

from registry.models import Service
from updates.models import Target
from updates.rollouts import actions
from updates.rollouts.agents import results
from updates.step_context import StepContext, StepFailed

MINE, OTHER = "a" * 64, "b" * 64


def context(**fields: Any) -> StepContext:
    defaults = {
        "service_name": "shop",
        "kind": "deploy",
        "version": "1.1.0",
        "job_id": "1",
        "target": Target(service=Service(name="shop"), name="web"),
        "fence": 1,
        "deadline_seconds": 5.0,
    }
    return StepContext(**{**defaults, **fields})


def reported(action: str, result: dict[str, Any], **fields: Any) -> dict[str, Any]:
    answer = {"kind": "succeeded", "message": "done", "result": result}
    return results.outcome_of(answer, context(**fields), action).result


@pytest.mark.parametrize(
    ("action", "result"),
    [
        ("fetch", {"sha256": MINE, "size": 3}),
        ("fetch", {"sha256": "", "is_on_disk": True}),
        ("back up", {"previous": None}),
        ("back up", {"previous": "1.0.0", "backup_path": "/srv/backups/1.0.0"}),
        (actions.STOP, {"may_still_run": True}),
        ("restart", {}),
    ],
)
def test_what_a_step_finds_is_taken(action: str, result: dict[str, Any]) -> None:
    assert reported(action, result) == result


@pytest.mark.parametrize(
    ("action", "result"),
    [
        ("restart", {"sha256": MINE}),
        ("switch", {"previous": "1.0.0"}),
        ("fetch", {"sha256": "../../../../home/eve/release.tar"}),
        ("fetch", {"sha256": MINE + "\n"}),
        ("fetch", {"sha256": [MINE]}),
        ("fetch", {"sha256": MINE, "size": -1}),
        ("fetch", {"sha256": MINE, "attempts": 3}),
        ("back up", {"previous": "../1.0.0"}),
        ("back up", {"previous": {"gt": ""}}),
        ("back up", {"previous": "1.0.0", "backup_path": ["x"]}),
        (actions.STOP, {"may_still_run": "no"}),
    ],
)
def test_what_a_step_cannot_have_found_fails_it(action: str, result: dict[str, Any]) -> None:
    with pytest.raises(StepFailed):
        reported(action, result)


@pytest.mark.parametrize(
    "known", [{"artifact_sha256": MINE}, {"checksum": MINE}, {"checksum": f"sha256:{MINE}"}]
)
def test_digest_is_the_one_that_the_other_nodes_know(known: dict[str, str]) -> None:
    assert reported("fetch", {"sha256": MINE}, **known) == {"sha256": MINE}
    with pytest.raises(StepFailed, match=OTHER):
        reported("fetch", {"sha256": OTHER}, **known)
    with pytest.raises(StepFailed, match=OTHER):
        reported("fetch", {"sha256": OTHER, "is_on_disk": True}, **known)


@pytest.mark.parametrize(
    ("fields", "is_said"),
    [
        ({}, True),
        ({"checksum": MINE}, False),
        ({"checksum": f"sha512:{'c' * 128}"}, False),
        ({"artifact_sha256": MINE}, False),
        ({"is_signature_required": True}, False),
    ],
)
def test_job_says_that_a_node_decides_the_digest_where_nothing_else_does(
    fields: dict[str, Any], is_said: bool
) -> None:
    answer = {"kind": "succeeded", "message": "3 bytes.", "result": {"sha256": MINE}}

    outcome = results.outcome_of(answer, context(**fields), "fetch")

    assert (results.UNCHECKED in outcome.message) is is_said


def test_release_that_lies_on_one_node_says_nothing_to_the_others() -> None:
    found = reported(
        "fetch",
        {"sha256": OTHER, "is_on_disk": True},
        kind="rollback",
        artifact_sha256=MINE,
    )

    assert found == {"is_on_disk": True}
