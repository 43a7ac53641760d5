"""Labels of services: words by which lists and notification rules select them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping

from django.db import transaction

from registry import errors
from registry.directory import projection
from registry.identity import accounts
from registry.identity.accounts import Caller
from registry.models import Service, selected_keys
from registry.operations import rows
from registry.operations.configured import actor_of
from saga_project.shared import auditing, labels

Labels = Mapping[str, str]


def no_precondition(_service: Service) -> None:
    return


def set_labels(
    name: str,
    change: Callable[[Labels], Labels],
    *,
    by: Caller | None,
    now: dt.datetime,
    precondition: Callable[[Service], None] = no_precondition,
) -> Service:
    """Give the service the labels that ``change`` makes of its present ones.

    ``precondition`` may refuse the locked row. Raises ServiceNotFound, InvalidLabels, LabelSelected
    and what ``accounts.check_may_change`` raises. The same labels again change nothing.
    """
    with transaction.atomic(durable=True):
        service = Service.objects.select_for_update(no_key=True).filter(name=name).first()
        if service is None:
            raise errors.ServiceNotFound(f"Service '{name}' not found in registry")
        accounts.check_may_change(by, name, owner_id=service.account_id)
        precondition(service)
        before, after = service.labels, labels.check(change(service.labels))
        if after != before:
            _check_selected(before, after, by=by)
            service.labels = after
            rows.save_change(service, now=now)
            auditing.record(
                "service.labelled",
                actor=actor_of(by),
                service_name=name,
                data={"before": before, "after": after},
                at=now,
            )
            projection.schedule(service)
    return service


def _check_selected(before: Labels, after: Labels, *, by: Caller | None) -> None:
    """Raise LabelSelected where another than an administrator would decide which rules apply."""
    if by is not None and by.is_admin:
        return
    changed = {key for key in {*before, *after} if before.get(key) != after.get(key)}
    if selected := sorted(changed & selected_keys()):
        raise errors.LabelSelected(
            f"The label '{selected[0]}' decides which freezes, windows, policies or accounts apply: changing"
            " it takes a token with the scope 'admin:registry'.",
            field="labels",
        )
