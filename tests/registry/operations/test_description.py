"""A registration, the row of an instance and the directory name a description alike."""

from __future__ import annotations

import dataclasses

from registry.directory import InstanceEntry
from registry.models import Instance
from registry.operations import registration


def test_row_and_directory_have_each_attribute_that_a_registration_describes() -> None:
    columns = {field.name for field in Instance._meta.fields}
    attributes = {field.name for field in dataclasses.fields(InstanceEntry)}

    assert set(registration.DESCRIPTION) <= columns & attributes
    assert {"url", "zone", "ttl_seconds"} <= set(registration.DESCRIPTION)
