from __future__ import annotations

import pytest

from saga_project.web.openapi import component_names


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("PolicyShape", "Policy"),
        ("PolicyShapeRequest", "PolicyRequest"),
        ("SubscriptionRequestRequest", "SubscriptionRequest"),
        ("PatchedPolicyShapeRequest", "PolicyPatch"),
        ("PatchedSubscriptionChangeRequest", "SubscriptionPatch"),
        ("PatchedLabelChangesShapeRequest", "LabelPatch"),
    ],
)
def test_component_names_say_what_a_body_is(name: str, expected: str) -> None:
    assert component_names.of_component(name) == expected


@pytest.mark.parametrize(
    ("action", "operation_id", "summary"),
    [
        ("list", "list_history_entries", "List history entries"),
        ("retrieve", "get_history_entry", "See a history entry"),
        ("create", "create_history_entry", "Create a history entry"),
        ("partial_update", "change_history_entry", "Change a history entry"),
        ("destroy", "delete_history_entry", "Delete a history entry"),
    ],
)
def test_actions_of_viewsets_have_a_name_and_a_summary(
    action: str, operation_id: str, summary: str
) -> None:
    name = component_names.of_action(action, thing="history-entry", things="history-entries")

    assert (name, component_names.summary(name)) == (operation_id, summary)
