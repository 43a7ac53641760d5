"""Whether a sender speaks for the place that a service's releases come from."""

from __future__ import annotations

from updates.models import Source
from updates.releases.sources import oci


def other_kind(source: Source, kind: str) -> str:
    """Return why a release of this kind is not one of the source; empty where it may be."""
    if source.kind in (Source.Kind.ANNOUNCED, kind):
        return ""
    return f"The releases of '{source.service.name}' come from its source {source}."


def other_place(source: Source, kind: str, place: str) -> str:
    """Return why a repository is not the source's; empty where it is, or cannot be compared."""
    if source.kind != kind or not place or _comparable(kind, place) == _location(source):
        return ""
    return f"The source of '{source.service.name}' is {source.location}, and this is {place}."


def _location(source: Source) -> str:
    return _comparable(source.kind, source.location)


def _comparable(kind: str, place: str) -> str:
    lower = place.lower()
    return oci.full_name(lower) if kind == Source.Kind.OCI else lower
