"""A token in a file admits programs of this machine's account, and no other."""

from __future__ import annotations

import stat
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from pytest_django import Settings

from tests import webserver

REGISTRATION = {"service_name": "shop", "service_url": "http://127.0.0.1:9/shop"}


@pytest.mark.django_db(transaction=True)
def test_the_local_token_opens_every_route_and_nothing_else_does(
    tmp_path: Path, redis: object
) -> None:
    with webserver.serving(data_dir=tmp_path, SAGA_AUTH="local-token") as server:
        file = tmp_path / "secrets" / "local_token"
        right = {"Authorization": f"Bearer {file.read_text()}"}
        wrong = {"Authorization": "Bearer " + "x" * 44}
        profile = {"slug": "pay", "name": "Pay", "version": "1", "base_url": "http://127.0.0.1:9"}

        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        for headers in ({}, wrong):
            register = server.post("/api/v1/services/register", json=REGISTRATION, headers=headers)
            assert register.status_code == 401
            assert server.get("/api/v1/services", headers=headers).status_code == 401
        register = server.post("/api/v1/services/register", json=REGISTRATION, headers=right)
        assert register.status_code == 200
        assert server.get("/api/v1/services/shop", headers=right).status_code == 200
        scaicontrol = server.post("/api/v1/registry/register", json=profile, headers=right)
        assert scaicontrol.status_code == 201


def test_the_command_prints_the_token_alone(settings: Settings) -> None:
    settings.SAGA_LOCAL_TOKEN = "the-local-token"
    output = StringIO()

    call_command("local_token", stdout=output)

    assert output.getvalue() == "the-local-token\n"


def test_the_command_is_refused_in_another_mode() -> None:
    with pytest.raises(CommandError, match="local-token"):
        call_command("local_token")
