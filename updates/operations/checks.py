"""Ask a service's source for newer versions."""

from __future__ import annotations

from django.utils import timezone

from registry.models import Service
from updates.policies.comparison import CheckResult
from updates.releases import checks


def check(service: Service) -> CheckResult:
    """Ask the service's source now and say what runs, what could, and whether that is newer.

    While another check of the service is under way, answers with what is on record. Raises SourceUnavailable.
    """
    return checks.check(service, now=timezone.now())
