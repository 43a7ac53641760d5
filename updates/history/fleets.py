"""Which versions the live instances of a service run: one, or several in a mixed fleet."""

from __future__ import annotations

from collections.abc import Collection

from django.db.models import Count, F

from registry.models import Instance, Service


def running_versions(service_name: str) -> dict[str, int]:
    """Return the number of live instances of each version, the most frequent first."""
    live = Instance.objects.live().filter(service__name=service_name).exclude(version="")
    counts = live.values("version").annotate(instances=Count("pk"))
    ordered = counts.order_by("-instances", "version")
    return {row["version"]: row["instances"] for row in ordered}


def replaced(names: Collection[str]) -> list[str]:
    """Return those services that ran another version before, and have live instances."""
    if not names:
        return []
    services = Service.objects.filter(name__in=names, instances__state=Instance.State.LIVE)
    changed = services.exclude(previous_version="").exclude(previous_version=F("version"))
    return list(changed.order_by("name").values_list("name", flat=True).distinct())
