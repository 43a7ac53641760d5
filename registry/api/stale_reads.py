"""Lookups that go on while Redis is gone, where stale reads are allowed."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from rest_framework.response import Response

from registry import directory, errors, names
from registry.directory import ServiceEntry
from saga_project.shared import errors as saga_errors

STALE_HEADER = "X-Saga-Stale"
ScanResult = TypeVar("ScanResult")


def or_stale(
    fresh: Callable[[], ScanResult], stale: Callable[[], ScanResult]
) -> tuple[ScanResult, float | None]:
    """Return what is, or, with Redis gone and stale reads allowed, what was, and its age in seconds."""
    try:
        return fresh(), None
    except saga_errors.RedisUnavailable:
        age = directory.stale_for()
        if age is None:
            raise
        return stale(), age


def mark(response: Response, age: float | None) -> Response:
    if age is not None:
        response[STALE_HEADER] = str(int(age))
    return response


def find(name: str) -> tuple[ServiceEntry, float | None]:
    names.check_service_name(name)
    entry, age = or_stale(lambda: directory.get(name), lambda: directory.stale(name))
    if entry is None:
        raise errors.ServiceNotFound(f"Service '{name}' not found in registry")
    return entry, age
