"""The fast path's readers say what the serializers say, or nothing."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rest_framework import exceptions, serializers

from registry.api.heartbeats import HeartbeatSerializer
from registry.api.registrations import RegistrationSerializer
from registry.fast import bodies
from saga_project.shared import errors
from saga_project.shared.api import fields

SHAPES: tuple[type[serializers.Serializer[Any]], ...] = (
    RegistrationSerializer,
    HeartbeatSerializer,
)
NAMES = sorted({str(name) for shape in SHAPES for name in shape().get_fields()})
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from([-1, 0, 1, 5, 3600, 3601, 65535, 65536, 1.0]),
    st.sampled_from(["", " a ", "a", "rest", "passing", "export", "1..2", "http://a.example"]),
    st.sampled_from(["a" * 128, "a" * 129, "http://u:p@a.example", "ftp://a.example"]),
    st.lists(st.sampled_from(["rest", "grpc", "soap", "", 5, None]), max_size=3),
    st.dictionaries(st.sampled_from("ab"), st.sampled_from(["", "x", 5, None, "x" * 129])),
)
REQUIRED: dict[str, st.SearchStrategy[Any]] = {
    "service_name": st.just("shop"),
    "service_url": st.just("http://a.example"),
}
BODIES = st.fixed_dictionaries(
    REQUIRED,
    optional={name: VALUES for name in NAMES if name not in REQUIRED},
)


def definition(shape: type[serializers.Serializer[Any]], body: dict[str, Any]) -> Any:
    try:
        return fields.read(shape, body)
    except (errors.SagaError, exceptions.ValidationError):
        return None


@pytest.mark.parametrize("shape", SHAPES)
@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(body=BODIES | st.dictionaries(st.sampled_from(NAMES), VALUES))
def test_reader_agrees_with_the_serializer_or_is_in_doubt(
    shape: type[serializers.Serializer[Any]], body: dict[str, Any]
) -> None:
    read = bodies.reader_of(shape)(body)

    assert read is None or read == definition(shape, body)


def test_reader_takes_a_usual_body_with_every_field() -> None:
    body = {
        "service_name": "shop",
        "service_url": "http://a.example",
        "capabilities": ["rest"],
        "instance_id": "shop-1",
        "version": "1.0",
        "metadata": {"team": "a"},
        "health_check_url": "http://a.example/health",
        "weight": 2,
        "zone": "",
        "ttl": 60,
    }

    assert set(body) == set(RegistrationSerializer().get_fields())
    assert bodies.reader_of(RegistrationSerializer)(body) == body


def test_reader_refuses_to_guess_a_kind_of_field_that_it_does_not_know() -> None:
    class Shape(serializers.Serializer[Any]):
        moment = serializers.DateTimeField()

    with pytest.raises(TypeError, match="fast path"):
        bodies.reader_of(Shape)
