"""Open mode is meant for a day: longer than that, the log and the console warn."""

from __future__ import annotations

import datetime as dt
import os
from pathlib import Path

import pytest
from django.utils import timezone
from pytest_django import Settings

from saga_project.shared import open_mode
from tests import waiting, webserver
from tests.saga_project.console.conftest import Member, member  # noqa: F401

WARNING = b"open is served for longer than a day"


def begin(folder: Path, *, hours_ago: float) -> None:
    """Write down that open mode began so many hours ago."""
    began_at = (timezone.now() - dt.timedelta(hours=hours_ago)).timestamp()
    (folder / "open-since").touch()
    os.utime(folder / "open-since", (began_at, began_at))


@pytest.mark.django_db(transaction=True)
def test_a_web_process_warns_after_a_day_of_open_mode(tmp_path: Path, redis: object) -> None:
    begin(tmp_path, hours_ago=25)
    log = tmp_path / "web.log"

    with log.open("wb") as file, webserver.serving(data_dir=tmp_path, log=file):
        waiting.until(lambda: WARNING in log.read_bytes())


@pytest.mark.django_db(transaction=True)
def test_another_mode_forgets_when_open_mode_began(tmp_path: Path, redis: object) -> None:
    begin(tmp_path, hours_ago=25)
    log = tmp_path / "web.log"

    with (
        log.open("wb") as file,
        webserver.serving(data_dir=tmp_path, log=file, SAGA_AUTH="required"),
    ):
        pass

    assert WARNING not in log.read_bytes()
    assert not (tmp_path / "open-since").exists()


@pytest.mark.parametrize(("hours_ago", "is_long"), [(23, False), (25, True)])
def test_the_console_warns_after_a_day_of_open_mode(
    tmp_path: Path,
    settings: Settings,
    member: Member,  # noqa: F811
    redis: object,
    hours_ago: int,
    is_long: bool,
) -> None:
    settings.SAGA_DATA_DIR = tmp_path
    begin(tmp_path, hours_ago=hours_ago)

    page = member("viewers").get("/admin/").content.decode()

    assert ("Open mode for more than a day" in page) is is_long


def test_the_first_start_in_open_mode_is_kept(tmp_path: Path, settings: Settings) -> None:
    settings.SAGA_DATA_DIR = tmp_path
    open_mode.note_start()
    begin(tmp_path, hours_ago=25)

    open_mode.note_start()

    assert open_mode.is_long(now=timezone.now())
