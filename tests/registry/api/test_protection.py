from __future__ import annotations

import pytest
from rest_framework.test import APIClient

from registry import presence
from registry.background import protection
from tests.api_clients import Bearer

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis")]

PATH = "/api/v1/protection"


def sweep(*, held: list[str]) -> None:
    seen = presence.Overdue(
        now_us=1, total=30, due=dict.fromkeys(held, 0), holds={}, is_anyone_receiving=True
    )
    protection.note(seen, held)


def test_says_what_is_held_back(api: APIClient) -> None:
    before = api.get(PATH).json()
    sweep(held=["a/default"])

    assert before == {"mode": "unknown", "suspects": None, "instances": None, "decision": None}
    assert api.get(PATH).json() == {
        "mode": "protecting",
        "suspects": 1,
        "instances": 30,
        "decision": None,
    }


@pytest.mark.parametrize("decision", ["gone", "hold"])
def test_staff_decide_about_suspects(api: APIClient, bearer: Bearer, decision: str) -> None:
    sweep(held=["a/default"])

    answer = api.post(PATH, {"decision": decision}, format="json", headers=bearer("admin:registry"))

    assert answer.status_code == 200
    assert answer.json()["decision"] == decision


def test_a_decision_without_suspects_is_a_conflict(api: APIClient) -> None:
    sweep(held=[])

    answer = api.post(PATH, {"decision": "gone"}, format="json")

    assert answer.status_code == 409
    assert answer.json()["error"] == "Nothing is held back"


@pytest.mark.parametrize("body", [{}, {"decision": "maybe"}, {"decision": "hold", "seconds": 0}])
def test_refuses_what_is_no_decision(api: APIClient, body: dict[str, object]) -> None:
    assert api.post(PATH, body, format="json").status_code == 400


def test_only_administrators_decide(api: APIClient, bearer: Bearer) -> None:
    sweep(held=["a/default"])

    answer = api.post(PATH, {"decision": "gone"}, format="json", headers=bearer("registry:manage"))

    assert answer.status_code == 403
    assert protection.decision() is None
