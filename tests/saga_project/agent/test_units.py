"""The systemd unit of an agent: what it starts, what it may write, and that systemd accepts it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from saga_project.agent import units
from saga_project.agent.configuration import DEFAULT_FOLDER, Allowed

ANALYZE = shutil.which("systemd-analyze")
HOSTS = {
    "root": (None, DEFAULT_FOLDER, Allowed()),
    "account": ("daemon", DEFAULT_FOLDER, Allowed(install_roots=("/srv",))),
    "odd folders": (None, Path("/srv/50% of it"), Allowed(install_roots=("/srv/a b",))),
    "units": (None, Path("/srv/agent"), Allowed(installers=("directory", "systemd"))),
    "containers": ("daemon", Path("/srv/agent"), Allowed(installers=("container",))),
}


def written(folder: Path, host: str) -> str:
    account, place, allowed = HOSTS[host]
    return units.write(folder, account=account, folder=place, allowed=allowed).read_text()


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.skipif(
    ANALYZE is None, reason="systemd-analyze is missing (Debian: apt install systemd)"
)
def test_systemd_accepts_the_unit(tmp_path: Path, host: str) -> None:
    written(tmp_path, host)

    assert ANALYZE
    done = subprocess.run(
        [ANALYZE, "verify", str(tmp_path / units.NAME)], check=False, capture_output=True, text=True
    )

    about_saga = [line for line in done.stderr.splitlines() if "saga" in line]
    assert (done.returncode, about_saga) == (0, []), done.stderr


def test_unit_starts_the_agent_of_this_environment_as_the_account(tmp_path: Path) -> None:
    text = written(tmp_path, "account")

    assert "-m saga_project.agent run --folder /var/lib/saga-agent\n" in text
    assert "User=daemon\n" in text
    assert "CapabilityBoundingSet=\n" in text
    assert "StateDirectory=saga-agent\n" in text


def test_agent_of_a_unit_writes_where_releases_may_be_installed_only(tmp_path: Path) -> None:
    text = written(tmp_path, "units")

    writable = [line for line in text.splitlines() if line.startswith("ReadWritePaths=")]
    assert "ProtectSystem=strict\n" in text
    assert writable == ["ReadWritePaths=-/srv/agent", "ReadWritePaths=-/etc/systemd/system"]


def test_agent_whose_token_has_ended_is_not_started_again(tmp_path: Path) -> None:
    assert f"RestartPreventExitStatus={units.TOKEN_ENDED}\n" in written(tmp_path, "root")
