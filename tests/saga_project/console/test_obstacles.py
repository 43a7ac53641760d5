"""Buttons that could only fail have no effect, and say why."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from registry.models import Service
from saga_project.console import service_verbs
from tests import factories
from updates.models import Target

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis")]


@pytest.fixture
def service() -> Service:
    service = factories.ServiceFactory.create(name="pay", version="1.0.0")
    factories.ReleaseFactory.create(service=service, version="1.1.0")
    factories.JobFactory.create(service=service, status="succeeded")
    return service


def blocked(service: Service) -> dict[str, str]:
    user = User(username="ada", is_superuser=True)
    verbs = service_verbs.of(service, user=user, now=timezone.now())
    return {verb.name: verb.blocked_by for verb in verbs if verb.name in ("deploy", "roll-back")}


def test_nothing_can_be_deployed_while_all_targets_are_disabled(service: Service) -> None:
    target = Target.objects.create(service=service, is_enabled=False)

    reason = "All targets of pay are disabled: enable one first."
    assert blocked(service) == {"deploy": reason, "roll-back": reason}
    other = factories.ServiceFactory.create()
    factories.ReleaseFactory.create(service=other, version="1.1.0")
    assert blocked(other) == {"deploy": ""}
    target.is_enabled = True
    target.save()
    assert blocked(service) == {"deploy": "", "roll-back": ""}


def test_releases_that_no_target_installs_cannot_be_deployed(service: Service) -> None:
    Target.objects.create(service=service, name="web", installer="container")
    Target.objects.create(service=service, name="db", is_enabled=False)

    assert blocked(service)["deploy"].startswith(
        "Release 1.1.0 is no image, and target 'web' has the installer 'container'"
    )
    assert blocked(service)["roll-back"] == ""
    factories.ReleaseFactory.create(service=service, version="1.2.0", artifact_type="image")
    assert blocked(service)["deploy"] == ""
