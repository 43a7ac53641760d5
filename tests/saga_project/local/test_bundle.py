"""The bundle is all that another host needs to be one more host of the same Saga."""

from __future__ import annotations

import io
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command

from saga_project.local import bundle
from tests import stack

ELSEWHERE = {
    "DATABASE_URL": "postgresql://saga:p%40ss\\word@10.0.0.2/saga",
    "REDIS_URL": "redis://:secret@10.0.0.3:6379/0",
    "SAGA_TRUSTED_PROXIES": "10.0.0.4,10.0.0.5",
    "SAGA_PROTECTION_SERVICES": '{"edge": {"minimum": 3}}',
    "SAGA_NODE_NAME": "web1",
    "SAGA_DATA_DIR": "/var/lib/saga",
    "HOME": "/root",
}


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, text in ELSEWHERE.items():
        monkeypatch.setenv(name, text)


@pytest.mark.usefixtures("elsewhere")
def test_another_host_reads_the_same_settings_from_it(tmp_path: Path) -> None:
    path = tmp_path / "shared.toml"

    call_command("bundle", str(path), stdout=io.StringIO())

    shell = (
        "from saga_project import settings as s; print(s.SECRET_KEY, s.SAGA_ENCRYPTION_KEYS,"
        " s.SAGA_TRUSTED_PROXIES, s.SAGA_PROTECTION_SERVICES, s.SAGA_NODE_NAME, s.REDIS_URL, s.DATABASE_URL)"
    )
    read = subprocess.run(
        [sys.executable, "-c", shell],
        cwd=stack.ROOT,
        env={"SAGA_CONFIG": str(path), "SAGA_DATA_DIR": str(tmp_path), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert read.stdout.split("\n")[0] == (
        f"{settings.SECRET_KEY} {settings.SAGA_ENCRYPTION_KEYS}"
        " ['10.0.0.4', '10.0.0.5'] {'edge': {'minimum': 3}} local"
        f" {ELSEWHERE['REDIS_URL']} {ELSEWHERE['DATABASE_URL']}"
    )


@pytest.mark.usefixtures("elsewhere")
def test_only_its_owner_may_read_it(tmp_path: Path) -> None:
    path = tmp_path / "shared.toml"
    path.touch(mode=0o644)

    names = bundle.write(path)

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert not {"SAGA_NODE_NAME", "SAGA_DATA_DIR", "HOME"} & set(names)


@pytest.mark.parametrize("name", ["DATABASE_URL", "REDIS_URL"])
@pytest.mark.usefixtures("elsewhere")
def test_embedded_servers_are_not_shared(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(name)

    with pytest.raises(CommandError, match=f"{name} is not set"):
        call_command("bundle", str(tmp_path / "shared.toml"))


@pytest.mark.usefixtures("elsewhere")
def test_a_folder_that_does_not_exist_is_named(tmp_path: Path) -> None:
    path = tmp_path / "absent" / "shared.toml"

    with pytest.raises(CommandError, match=r"absent/shared\.toml cannot be written"):
        call_command("bundle", str(path))
