"""Ask a service's source for newer versions."""

from __future__ import annotations

from django.db.models.functions import Now
from django.utils import timezone

from registry.models import Service
from saga_project.shared import wakeups
from updates.models import Source
from updates.policies.comparison import CheckResult
from updates.releases import checks, origins, sources


def check(service: Service) -> CheckResult:
    """Ask the service's source now and say what runs, what could, and whether that is newer.

    While another check of the service is under way, answers with what is on record. Raises SourceUnavailable.
    """
    return checks.check(service, now=timezone.now())


def request_check(service: Service, *, kind: str = "", place: str = "") -> str:
    """Have the source asked soon, inside the caller's transaction; return why not, or the empty string.

    Where ``kind`` is the source's, ``place`` must be its location. A check that is under way is followed by
    another one, since it may have read the list already.
    """
    source = Source.objects.filter(service=service).order_by("pk").first()
    if source is None or source.kind not in sources.ASK:
        return f"Service '{service.name}' has no source that can be asked."
    if reason := origins.other_place(source, kind, place):
        return reason
    Source.objects.filter(pk=source.pk).update(next_check_at=Now())
    wakeups.wake("updates.check", service.pk)
    return ""


def reads_from(service_name: str, *, kind: str) -> bool:
    """Return whether the service's releases come from a source of this kind."""
    return Source.objects.filter(service__name=service_name, kind=kind).exists()
