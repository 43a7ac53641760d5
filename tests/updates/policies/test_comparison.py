"""Checks, events, the plan and the policy agree on the latest version, for each kind of version string."""

from __future__ import annotations

from typing import Any

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from registry.models import Event, Service
from tests import factories
from updates import operations
from updates.models import Job

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis")]
Fields = dict[str, Any]


def _service(current: str | None, *releases: str, **policy: Any) -> Service:
    service = factories.ServiceFactory.create(name="payment-service", version=current or "")
    factories.PolicyFactory.create(service=service, **{"kind": "auto", **policy})
    for version in releases:
        factories.ReleaseFactory.create(service=service, version=version)
    return service


def _announce(api: APIClient, *versions: str) -> None:
    for version in versions:
        url = f"https://ci.example/{version}.tar.gz"
        body = {"service_name": "payment-service", "version": version, "artifact_url": url}
        assert api.post("/api/v1/webhooks/update", body, format="json").status_code == 202


def _offered() -> list[str]:
    """Return the versions that ``update.available`` has offered so far."""
    events = Event.objects.filter(type="update.available").order_by("pk")
    return [event.data["latest_version"] for event in events]


def _checked(api: APIClient) -> Fields:
    body = {"service_name": "payment-service"}
    answer = api.post("/api/v1/webhooks/check-updates", body, format="json")
    assert answer.status_code == 200
    return dict(answer.json())


def _plan(api: APIClient) -> Fields:
    return dict(api.get("/api/v1/updates/plan?service=payment-service").json())


ALPINE = ("17.9-alpine", "17.10-alpine", "17.11-alpine", "17.11-bookworm", "18.0-bookworm")
CASES = [
    ("the variant stays", "17.9-alpine", ALPINE, {}, "17.11-alpine"),
    (
        "a revision is newer",
        "16.2.0-debian-12-r9",
        ("16.2.0-debian-12-r10",),
        {},
        "16.2.0-debian-12-r10",
    ),
    (
        "calendar versions with a suffix",
        "2024.12.1-alpine",
        ("2025.01.0-alpine", "2025.04.0-alpine"),
        {},
        "2025.04.0-alpine",
    ),
    (
        "release candidates",
        "1.0.0-rc9",
        ("1.0.0-rc10",),
        {"allows_prereleases": True},
        "1.0.0-rc10",
    ),
    ("after git describe", "1.2.3-14-gabc1234", ("1.2.3", "1.2.4"), {}, "1.2.4"),
    ("four parts", "1.2.3.9", ("1.2.3.10",), {}, "1.2.3.10"),
    ("JBoss", "5.6.14.Final", ("5.6.15.Final", "5.6.16.CR1"), {}, "5.6.15.Final"),
    ("Spring", "2.1.0.RELEASE", ("2.1.1.RELEASE", "2.2.0.M1"), {}, "2.1.1.RELEASE"),
    ("a snapshot that is released", "1.5.0-SNAPSHOT", ("1.5.0", "1.6.0-SNAPSHOT"), {}, "1.5.0"),
    (
        "a revision of Debian",
        "2.3-1+deb12u1",
        ("2.3-1+deb12u2",),
        {"version_scheme": "debian"},
        "2.3-1+deb12u2",
    ),
    ("a security build", "11.2.2", ("11.2.2+security-01",), {}, "11.2.2+security-01"),
    ("a build of Java", "11.0.21+9", ("11.0.21+10",), {}, "11.0.21+10"),
    ("the range", "6.14.0", ("6.15.0", "2021.12.14"), {"version_range": "<2000"}, "6.15.0"),
    ("a backport published last", "2.0.0", ("2.1.0", "1.9.10"), {}, "2.1.0"),
    (
        "the package's own tags",
        "payment-v1.0.0",
        ("zeta-v2.0.0", "payment-v1.1.0"),
        {},
        "payment-v1.1.0",
    ),
    (
        "a scheme and a pattern",
        "1.0.0",
        ("1.2.0", "1.3.0"),
        {
            "version_scheme": "regex",
            "version_pattern": r"(?<major>\d+)\.(?<minor>\d*[02468])\.(?<patch>\d+)",
        },
        "1.2.0",
    ),
]


@pytest.mark.parametrize(("current", "releases", "policy", "latest"), [case[1:] for case in CASES])
def test_check_event_plan_and_policy_name_the_same_update(
    api: APIClient, current: str, releases: tuple[str, ...], policy: Fields, latest: str
) -> None:
    _service(current, **policy)
    _announce(api, *releases)

    checked, plan = _checked(api), _plan(api)
    operations.apply_policies(now=timezone.now())

    assert _offered()[-1] == latest

    assert (checked["latest_version"], checked["update_available"]) == (latest, True)
    assert (plan["latest_version"], plan["action"], plan["version"]) == (latest, "deploy", latest)
    assert Job.objects.get().version == latest


@pytest.mark.parametrize(
    ("current", "releases", "latest"),
    [
        ("1.2.3-14-gabc1234", ("1.2.3",), "1.2.3"),
        ("17.9-alpine", ("18.0-bookworm",), None),
        ("payment-v1.0.0", ("payment-v1.0.0", "zeta-v0.1.0"), "payment-v1.0.0"),
        ("develop", ("main",), "main"),
    ],
)
def test_what_is_no_update_is_none_anywhere(
    api: APIClient, current: str, releases: tuple[str, ...], latest: str | None
) -> None:
    _service(current)
    _announce(api, *releases)

    checked, plan = _checked(api), _plan(api)
    operations.apply_policies(now=timezone.now())

    assert _offered() == []
    assert (checked["latest_version"], checked["update_available"]) == (latest, False)
    assert (plan["latest_version"], plan["action"], plan["releases"]) == (latest, "none", [])
    assert not Job.objects.exists()


def test_plain_tags_come_before_variants_where_nothing_runs_yet(api: APIClient) -> None:
    _service(None, "1.10.0", "1.10.1-alpine")

    assert _checked(api)["latest_version"] == "1.10.0"
    assert _plan(api)["latest_version"] == "1.10.0"


def test_what_the_range_forbids_is_not_offered(api: APIClient) -> None:
    _service("1.0.0", version_range="<2")

    _announce(api, "2.0.0", "1.1.0")

    assert _offered() == ["1.1.0"]


@pytest.mark.parametrize(
    "checksum", ["x", "sha256:abc123...", "md5:" + "0" * 32, "sha256:" + "0" * 63]
)
def test_a_checksum_that_is_no_digest_is_not_eligible(api: APIClient, checksum: str) -> None:
    service = _service("1.0.0")
    factories.ReleaseFactory.create(service=service, version="1.1.0", checksum=checksum)

    (evaluation,) = _plan(api)["releases"]

    assert (evaluation["version"], evaluation["is_eligible"]) == ("1.1.0", False)
    assert "checksum is no digest" in evaluation["reason"]
