"""Which version a rollback restores."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest
from pytest_django import Settings

from registry.models import Service
from tests import factories
from updates import errors
from updates.models import HistoryEntry, Release, Target
from updates.operations import rollback_targets

pytestmark = pytest.mark.django_db

NAME = "payment-service"


def play(*moves: str) -> Service:
    """Write the history of a service: ``1.0.0`` deploys, ``!1.0.0`` fails, ``<1.0.0`` rolls back."""
    service = factories.ServiceFactory.create(name=NAME)
    running: str | None = None
    for number, move in enumerate(moves):
        version, kind, status = move.lstrip("!<"), "deploy", "success"
        if move[0] == "!":
            status = "rolled_back"
        if move[0] == "<":
            kind, status = "rollback", "rolled_back"
            Release.objects.filter(version=running).update(state="quarantined")
        Release.objects.get_or_create(
            service=service,
            version=version,
            defaults={"recorded_at": factories.NOW, "origin": "announced"},
        )
        runs = running if move[0] == "!" else version
        factories.HistoryEntryFactory.create(
            service_name=NAME,
            kind=kind,
            status=status,
            old_version=running,
            new_version=version,
            running_version=runs,
            timestamp=factories.NOW + dt.timedelta(minutes=number),
        )
        running = runs
    return service


def choose(service: Service, version: str | None = None) -> str:
    current = HistoryEntry.objects.order_by("-timestamp").values_list("running_version", flat=True)[
        0
    ]
    return rollback_targets.choose(service, version, current=current)


@pytest.mark.parametrize(
    ("moves", "target"),
    [
        (["1.0.0", "2.0.0"], "1.0.0"),
        (["1.0.0", "2.0.0", "2.0.0"], "1.0.0"),
        (["1.0.0", "2.0.0", "1.0.0"], "2.0.0"),
        (["0.8", "0.9", "1.0", "!1.0.1", "!1.0.2", "!1.0.3", "2.0.0"], "1.0"),
        (["0.8", "0.9", "1.0", "2.0.0", "<1.0"], "0.9"),
        (["1.0.0", "2.0.0", "<1.0.0", "3.0.0"], "1.0.0"),
        (["1.0.0", "!2.0.0", "3.0.0", "3.0.0", "3.0.0"], "1.0.0"),
    ],
)
def test_the_default_is_the_last_good_version_that_differs(moves: list[str], target: str) -> None:
    assert choose(play(*moves)) == target


@pytest.mark.parametrize("moves", [["1.0.0"], ["1.0.0", "1.0.0"], ["1.0.0", "2.0.0", "<1.0.0"]])
def test_without_a_good_version_before_there_is_none(moves: list[str]) -> None:
    with pytest.raises(errors.ReleaseNotFound, match="No good version"):
        choose(play(*moves))


@pytest.mark.parametrize("state", ["quarantined", "withdrawn"])
def test_the_default_passes_over_what_is_not_good(state: str) -> None:
    service = play("1.0.0", "2.0.0", "3.0.0")
    Release.objects.filter(version="2.0.0").update(state=state)

    assert choose(service) == "1.0.0"


def test_a_version_that_never_ran_is_refused() -> None:
    service = play("1.0.0", "!1.5.0", "2.0.0")
    factories.ReleaseFactory.create(service=service, version="6.6.6")

    for version in ("6.6.6", "1.5.0"):
        with pytest.raises(errors.ReleaseNotFound, match="never ran"):
            choose(service, version)


def test_a_version_without_release_or_backup_is_refused() -> None:
    with pytest.raises(errors.ReleaseNotFound, match="no release and no backup"):
        choose(play("1.0.0", "2.0.0"), "0.9.0")


def test_each_version_that_ran_can_be_named() -> None:
    service = play("0.9.0", "1.0.0", "2.0.0")

    assert [choose(service, version) for version in ("0.9.0", "1.0.0")] == ["0.9.0", "1.0.0"]


def test_a_version_that_the_service_reported_has_run() -> None:
    service = factories.ServiceFactory.create(name=NAME, version="1.2.3")
    factories.ReleaseFactory.create(service=service, version="1.2.3")

    assert rollback_targets.choose(service, "1.2.3", current=None) == "1.2.3"


def test_a_version_that_every_target_runs_is_nothing_to_go_back_to() -> None:
    service = play("1.0.0", "2.0.0", "2.0.0")
    web = Target.objects.create(service=service, name="web", current_version="2.0.0")
    Target.objects.create(service=service, name="new")

    with pytest.raises(errors.VersionRunsAlready, match="Every target"):
        choose(service, "2.0.0")
    web.current_version = "1.0.0"
    web.save()

    assert choose(service, "2.0.0") == "2.0.0"


def test_path_in_the_history_leads_to_no_backup_of_another_service(
    tmp_path: Path, settings: Settings
) -> None:
    settings.SAGA_BACKUPS_DIR = tmp_path
    for folder in ("other/v9.0.0", f"{NAME}/v1.0.0"):
        (tmp_path / folder).mkdir(parents=True)
    service = factories.ServiceFactory.create(name=NAME)
    for number, version in enumerate(["1.0.0", "1.0.0/../../other/v9.0.0", "2.0.0"]):
        factories.HistoryEntryFactory.create(
            service_name=NAME,
            kind="reported",
            status="success",
            old_version=None,
            new_version=version,
            running_version=version,
            timestamp=factories.NOW + dt.timedelta(minutes=number),
        )

    assert choose(service) == "1.0.0"
