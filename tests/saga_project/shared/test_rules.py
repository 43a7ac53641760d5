"""A rule says the same in Python as in the OpenAPI document."""

from __future__ import annotations

import re

import pytest

from saga_project.shared import errors, rules
from saga_project.shared.api import fields

TEXTS = [
    *("", "a", "a.b_c-d", "-a", "a" * 128, "a" * 129, "a/b", "a b", "é", "1:2#3", "1.0+b", "1..2"),
    *("register", "export", "registers", "rest", "soap", "a*", "*", "a*b"),
]
RULES = [
    rules.SERVICE_NAME,
    rules.SERVICE_NAME_PREFIX,
    rules.INSTANCE_ID,
    rules.VERSION,
    rules.CAPABILITY,
]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.error.error)
def test_schema_and_check_agree_on_every_text(rule: rules.TextRule) -> None:
    schema = fields.schema_of(rule)

    for text in TEXTS:
        pattern, choices = schema.get("pattern", ""), schema.get("enum", [text])
        is_in_schema = re.search(pattern, text) is not None and text in choices
        assert rule.allows(text) is is_in_schema, text


def test_error_names_the_field_and_its_value_and_what_is_allowed() -> None:
    with pytest.raises(rules.InvalidCapability) as caught:
        rules.CAPABILITY.check("soap", field="capabilities")

    assert caught.value.field == "capabilities"
    assert caught.value.message == "'soap' is none of rest, graphql, grpc, mcp."
    assert isinstance(caught.value, errors.InvalidRequest)


def test_reserved_name_has_the_form_of_a_name_but_is_refused() -> None:
    assert rules.SERVICE_NAME.matches("export")
    assert rules.SERVICE_NAME.fault("export") == "'export' is reserved."


def test_empty_text_is_refused_unless_the_field_allows_it() -> None:
    fields.UrlField(or_empty=True).check("", name="callback_url")

    with pytest.raises(rules.InvalidServiceUrl):
        fields.UrlField().check("", name="callback_url")
    assert re.search(fields.schema_of(rules.URL, or_empty=True)["pattern"], "") is not None
