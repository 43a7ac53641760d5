"""Which services an account is limited to: those that it names, and those that its selector selects."""

from __future__ import annotations

from collections.abc import Mapping

from django.db.models import Q

from registry.models import Service, ServiceAccount
from saga_project.shared import labels


def is_limited(account: ServiceAccount) -> bool:
    """Return whether the account may touch some services only."""
    return bool(account.services or account.selector)


def is_granted(
    account: ServiceAccount, name: str, *, service_labels: Mapping[str, str] | None = None
) -> bool:
    """Return whether the account may touch the service; its owner decides as well.

    Without ``service_labels`` the stored ones count: one query, for an account with a selector only. A
    service that does not exist has no labels, so that no selector selects it.
    """
    if not is_limited(account) or name in account.services:
        return True
    if not account.selector:
        return False
    return account.selects(_labels_of(name) if service_labels is None else service_labels)


def _labels_of(name: str) -> Mapping[str, str]:
    found = Service.objects.filter(name=name).values_list("labels", flat=True)
    return next(iter(found), {})


def granted(account: ServiceAccount, *, prefix: str = "") -> Q:
    """Return the same as a filter of rows; ``prefix`` leads to the service, such as ``service__``."""
    if not is_limited(account):
        return Q()
    found = Q(**{f"{prefix}name__in": account.services})
    if account.selector and labels.SELECTOR.fault(account.selector) is None:
        found |= labels.parse(account.selector).condition(f"{prefix}labels")
    return found


def fault(selector: str) -> str | None:
    """Return what is wrong with an account's selector.

    A condition that holds where a label is missing would allow the account to touch services that have none.
    """
    if not selector:
        return None
    if found := labels.SELECTOR.fault(selector):
        return found
    negated = [each for each in labels.parse(selector).requirements if each.is_negated]
    if negated:
        return (
            f"An account's selector takes no '{negated[0]}': it would select services without labels. Name"
            " labels that they have."
        )
    return None
