"""Every pair of states of every state model: allowed moves are made, all others are refused."""

from __future__ import annotations

import itertools
import uuid
from typing import Any

import pytest
from django.apps import apps
from django.db import models

from registry.models import Service
from saga_project.shared import transitions
from tests import factories
from updates.models import Approval, Step
from webhooks.models import Delivery

STATEFUL = [model for model in apps.get_models() if hasattr(model, "MOVES")]


def states_of(model):
    field = model._meta.get_field(transitions.state_field(model))
    return [value for value, _ in field.choices]


def pairs() -> list[Any]:
    return [
        pytest.param(model, source, to, id=f"{model.__name__}-{source}-{to}")
        for model in STATEFUL
        for source, to in itertools.product(states_of(model), repeat=2)
    ]


def row_of(model):
    return getattr(factories, f"{model.__name__}Factory")()


def fields_of(model: type[models.Model], state: str) -> dict[str, Any]:
    """What the database demands of a row in this state, besides the state itself."""
    if model is not Delivery:
        return {}
    is_sending = state == Delivery.Status.SENDING
    return {
        "lease": uuid.uuid4() if is_sending else None,
        "lease_expires_at": factories.NOW if is_sending else None,
    }


def test_the_state_models_are_known():
    assert {model.__name__ for model in STATEFUL} == {
        "Service",
        "Instance",
        "Subscription",
        "Release",
        "Approval",
        "Job",
        "Step",
        "Delivery",
        "Alert",
        "Node",
    }


@pytest.mark.parametrize("model", STATEFUL)
def test_the_table_names_every_state_once(model):
    assert {str(to) for to in model.MOVES} == set(states_of(model))


@pytest.mark.django_db
@pytest.mark.parametrize(("model", "source", "to"), pairs())
def test_move_follows_the_table(model, source, to):
    field = transitions.state_field(model)
    row = row_of(model)
    model._base_manager.filter(pk=row.pk).update(**{field: source}, **fields_of(model, source))
    row.refresh_from_db()

    has_moved = transitions.move(row, to, **fields_of(model, to))

    is_allowed = source in transitions.sources(model, to)
    stored = model._base_manager.values_list(field, flat=True).get(pk=row.pk)
    assert has_moved is is_allowed
    assert stored == (to if is_allowed else source)
    assert getattr(row, field) == stored


@pytest.mark.django_db
def test_move_is_decided_by_the_database_not_by_memory():
    service = factories.ServiceFactory()
    Service.objects.filter(pk=service.pk).update(status=Service.Status.DEREGISTERED)

    has_moved = transitions.move(service, Service.Status.DEGRADED)

    assert has_moved is False
    assert Service.objects.get(pk=service.pk).status == Service.Status.DEREGISTERED


@pytest.mark.django_db
def test_movable_narrows_many_rows_by_the_table():
    sending = factories.DeliveryFactory()
    delivered = factories.DeliveryFactory()
    Delivery.objects.filter(pk=delivered.pk).update(status=Delivery.Status.DELIVERED)

    rows = transitions.movable(Delivery.objects.all(), Delivery.Status.SENDING)

    assert list(rows.values_list("pk", flat=True)) == [sending.pk]


@pytest.mark.django_db
def test_move_rows_moves_only_those_that_the_table_allows():
    pending = factories.StepFactory()
    ended = factories.StepFactory(job=pending.job, position=2, status=Step.Status.FAILED)

    count = transitions.move_rows(Step.objects.all(), Step.Status.SKIPPED, message="stopped")

    assert count == 1
    pending.refresh_from_db()
    ended.refresh_from_db()
    assert (pending.status, pending.message) == (Step.Status.SKIPPED, "stopped")
    assert (ended.status, ended.message) == (Step.Status.FAILED, "")


@pytest.mark.django_db
def test_require_move_refuses_what_the_table_does_not_allow():
    approval = factories.ApprovalFactory(state=Approval.State.REJECTED)

    with pytest.raises(ValueError, match="rejected and cannot become approved"):
        transitions.require_move(approval, Approval.State.APPROVED)
    approval.refresh_from_db()
    assert approval.state == Approval.State.REJECTED


def test_set_state_refuses_what_the_table_does_not_allow():
    service = Service(name="shop", status=Service.Status.REJECTED)

    with pytest.raises(ValueError, match="rejected and cannot become degraded"):
        transitions.set_state(service, Service.Status.DEGRADED)
