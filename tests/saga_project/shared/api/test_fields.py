from __future__ import annotations

from typing import Any

import pytest
from rest_framework import serializers

from saga_project.shared.api import fields


@pytest.mark.parametrize(("value", "number"), [(44, 44), (44.0, 44), (-1.0, -1)])
def test_whole_number_may_be_written_with_a_zero_fraction(value: object, number: int) -> None:
    found = fields.WholeField().run_validation(value)

    assert (found, type(found)) == (number, int)


@pytest.mark.parametrize(
    "value", [44.5, True, "44", None, float("inf"), float("nan"), [44], {"a": 1}]
)
def test_what_is_no_whole_number_is_refused(value: Any) -> None:
    with pytest.raises(serializers.ValidationError):
        fields.WholeField().run_validation(value)
