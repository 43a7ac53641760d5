"""Which windows, freezes and policy apply to a service, and why: its own, by label, or for all."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeVar

from django.db.models import Q

from registry.models import Service
from updates.models import Freeze, MaintenanceWindow, Policy, SelectorPolicy

RowT = TypeVar("RowT", MaintenanceWindow, Freeze)


class Coverage(enum.StrEnum):
    """Why a row applies to a service."""

    OWN = "own"
    SELECTOR = "selector"
    GLOBAL = "global"
    DEFAULT = "default"


@dataclass(frozen=True, kw_only=True)
class Reason:
    """Why a row applies: ``selector`` is the text that selects the service."""

    origin: Coverage
    selector: str = ""

    def __str__(self) -> str:
        texts = {
            Coverage.OWN: "its own",
            Coverage.SELECTOR: f"by its labels ({self.selector})",
            Coverage.GLOBAL: "of every service",
            Coverage.DEFAULT: "the default",
        }
        return texts[self.origin]


def reason_of_policy(row: Policy | SelectorPolicy) -> Reason:
    """Return why a policy that applies to a service does so."""
    if isinstance(row, SelectorPolicy):
        return Reason(origin=Coverage.SELECTOR, selector=row.selector)
    return Reason(origin=Coverage.OWN if row.pk is not None else Coverage.DEFAULT)


def reason_of(row: MaintenanceWindow | Freeze) -> Reason:
    """Return why a row that applies to a service does so."""
    if row.service_id is not None:
        return Reason(origin=Coverage.OWN)
    if row.selector:
        return Reason(origin=Coverage.SELECTOR, selector=row.selector)
    return Reason(origin=Coverage.GLOBAL)


def windows_of(service: Service) -> list[MaintenanceWindow]:
    """Return the service's own windows, else those that select it, else the global ones."""
    enabled = MaintenanceWindow.objects.filter(_own_or_shared(service), is_enabled=True)
    applying = _applying(service, enabled)
    for origin in (Coverage.OWN, Coverage.SELECTOR):
        found = [row for row in applying if reason_of(row).origin == origin]
        if found:
            return found
    return applying


def freezes_of(service: Service) -> list[Freeze]:
    """Return the service's own freezes, those that select it, and the global ones: all of them hold."""
    return _applying(service, Freeze.objects.filter(_own_or_shared(service)))


def _own_or_shared(service: Service) -> Q:
    return Q(service=service) | Q(service=None)


def _applying(service: Service, rows: Iterable[RowT]) -> list[RowT]:
    return [row for row in rows if not row.selector or row.selects(service.labels)]
