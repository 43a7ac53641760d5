"""What `/metrics` says of health checks."""

from __future__ import annotations

import datetime as dt

import pytest
from django.utils import timezone

from registry.background import check_metrics
from registry.models import CheckedInstance, Checker, HealthCheck
from tests import factories

pytestmark = pytest.mark.django_db


def samples() -> dict[tuple[str, str], float]:
    return {
        (sample.name, sample.labels.get("verdict", "")): sample.value
        for metric in check_metrics.read()
        for sample in metric.samples
    }


def test_a_scrape_counts_verdicts_of_enabled_checks_and_living_checkers() -> None:
    now = timezone.now()
    for is_enabled, verdicts in ((True, ["passing", "passing", "critical"]), (False, ["critical"])):
        service = factories.ServiceFactory.create()
        check = HealthCheck.objects.create(service=service, is_enabled=is_enabled)
        for number, verdict in enumerate(verdicts):
            CheckedInstance.objects.create(
                check_made=check,
                instance_id=f"i{number}",
                verdict=verdict,
                since=now,
                checked_at=now,
            )
    for seconds in (60, -60):
        Checker.objects.create(holder="h/1", expires_at=now + dt.timedelta(seconds=seconds))

    found = samples()

    assert found["saga_checked_instances", "passing"] == 2
    assert found["saga_checked_instances", "critical"] == 1
    assert found["saga_checked_instances", "unknown"] == 0
    assert found["saga_checkers", ""] == 1
