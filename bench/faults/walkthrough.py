"""Sets several hosts up as ``docs/high-availability.md`` says; blocks and commands are read from there."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.faults.network import Host
from saga_project.local.embedded import processes
from tests import waiting

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = ROOT / "docs" / "high-availability.md"
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
WEB_HOSTS, NODE_HOSTS = ("web1", "web2"), ("node1", "node2")
PUBLIC_HOST = "saga.example.com"
NEEDED = ("haproxy", "redis-server", "setpriv", "nsenter", "unshare", "ip")


@dataclass(frozen=True)
class Walkthrough:
    """What the document prints: rows of its tables, and its blocks by what leads to them."""

    text: str

    @classmethod
    def read(cls) -> Walkthrough:
        return cls(DOCUMENT.read_text())

    def block(self, heading: str, number: int = 0) -> str:
        """Return one block of a section."""
        _, _, rest = self.text.partition(f"### {heading}\n")
        section = re.split(r"^##", rest, maxsplit=1, flags=re.MULTILINE)[0]
        return str(BLOCK.findall(section)[number][1])

    def addresses(self) -> dict[str, str]:
        """Return the address of each host."""
        found: dict[str, str] = {}
        for hosts, addresses in re.findall(
            r"^\| (`[^|]+) \| (10\.[^|]+) \|", self.text, re.MULTILINE
        ):
            found |= dict(zip(_names(hosts), addresses.split(", "), strict=True))
        return found

    def programs(self, host: str) -> dict[str, str]:
        """Return the commands of a host by the names of their programs."""
        rows = re.findall(r"^\| (\w+) \| (`[^|]+`) \| `([^|]+)` \|$", self.text, re.MULTILINE)
        return {
            name: command.replace(".venv/bin/", f"{Path(sys.executable).parent}/")
            for name, hosts, command in rows
            if host in _names(hosts)
        }


def _names(cell: str) -> list[str]:
    return re.findall(r"`(\w+)`", cell)


def postgresql_programs() -> Path | None:
    """Return the folder of the newest installed PostgreSQL; None where there is none."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    return found[-1].parent if found else None


def missing() -> Sequence[str]:
    """Return the programs that this machine lacks."""
    lacking = [name for name in NEEDED if shutil.which(name, path=_search_path()) is None]
    return lacking if postgresql_programs() else [*lacking, "postgresql"]


def _search_path() -> str:
    return f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"


class Hosts:
    """The hosts of the walk-through, with their files in one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._printed = Walkthrough.read()
        self._account = processes.unprivileged_account()
        self.by_name: dict[str, Host] = {}
        self.token = ""

    def set_up(self) -> None:
        """Follow the steps of the document; return when the first host answers through the balancer."""
        self._set_up_postgresql()
        self._set_up_redis()
        for name in ("db", "redis"):
            self.by_name[name].power_on()
        self._until_reached("db", 5432)
        self._until_reached("redis", 6379)
        self._set_up_saga()
        self._set_up_balancer()
        for name in ("web2", *NODE_HOSTS, "lb"):
            self.by_name[name].power_on()

    def _add(self, name: str, programs: dict[str, str], **options: object) -> Host:
        log = self._folder / f"{name}.log"
        environment = options.pop("environment", {})
        host = Host(
            name,
            self._printed.addresses()[name],
            programs,
            {"PATH": _search_path(), **environment},  # type: ignore[dict-item]
            log,
            **options,  # type: ignore[arg-type]
        )
        self.by_name[name] = host
        return host

    def _until_reached(self, name: str, port: int) -> None:
        host = self.by_name[name]
        probe = f"exec 3<>/dev/tcp/{host.address}/{port}"
        command = ["nsenter", f"--net=/proc/{host.pid}/ns/net", "bash", "-c", probe]

        def is_reached() -> bool:
            return subprocess.run(command, check=False, capture_output=True).returncode == 0

        waiting.until(is_reached, seconds=60, pause_seconds=0.2)

    def _set_up_postgresql(self) -> None:
        programs, account = postgresql_programs(), self._account
        assert programs is not None  # noqa: S101 (see ``missing``)
        assert account is not None  # noqa: S101 (this is root)
        data = self._folder / "db"
        data.mkdir(mode=0o700)
        os.chown(data, account.uid, account.gid)
        account.run([programs / "initdb", "-D", data, "--auth-local=trust", "--encoding=UTF8"])
        heading = "1. PostgreSQL"
        with (data / "postgresql.conf").open("a") as file:
            file.write(self._printed.block(heading, 0) + f"unix_socket_directories = '{data}'\n")
        with (data / "pg_hba.conf").open("a") as file:
            file.write(self._printed.block(heading, 1))
        statements = self._folder / "roles.sql"
        statements.write_text(self._printed.block(heading, 2))
        account.run(
            [programs / "pg_ctl", "-w", "-D", data, "-l", data / "log", "-o", "-h ''", "start"]
        )
        script = ["bash", "-c", f"'{programs}/psql' -h '{data}' postgres -v ON_ERROR_STOP=1"]
        with statements.open() as file:
            subprocess.run(
                script, check=True, stdin=file, capture_output=True, user=account.uid, cwd="/"
            )
        account.run([programs / "pg_ctl", "-w", "-D", data, "-m", "fast", "stop"])
        run_as = f"setpriv --reuid {account.uid} --regid {account.gid} --clear-groups"
        command = f"{run_as} {programs}/postgres -D {data}"
        self._add("db", {"postgres": command}, stale_files=[data / "postmaster.pid"])

    def _set_up_redis(self) -> None:
        data = self._folder / "redis"
        data.mkdir()
        configuration = data / "redis.conf"
        configuration.write_text(self._printed.block("2. Redis") + f'dir "{data}"\n')
        self._add("redis", {"redis": f"redis-server {configuration}"})

    def _set_up_saga(self) -> None:
        """Do steps 3 and 6 on the first web host, and give the bundle to all Saga hosts."""
        settings, bundle = self._folder / "saga.toml", self._folder / "shared.toml"
        heading = "3. Shared settings and secrets"
        settings.write_text(self._printed.block(heading, 0))
        for name in (*WEB_HOSTS, *NODE_HOSTS):
            environment = {
                "SAGA_CONFIG": str(bundle),
                "SAGA_DATA_DIR": str(self._folder / name),
                "SAGA_NODE_NAME": name,
                "PYTHONPATH": str(ROOT),
            }
            self._add(name, self._printed.programs(name), environment=environment)
        first = self.by_name["web1"]
        programs = first.programs
        first.programs = {}
        first.power_on()
        first.run(self._localised(self._printed.block(heading, 1)))
        self.token = first.run(self._localised(self._printed.block("6. A first call")))
        first.power_off()
        first.programs = programs
        first.power_on()

    def _localised(self, script: str) -> str:
        """Replace what names a place of this machine only."""
        script = script.replace(".venv/bin/python", sys.executable)
        return f"cd {ROOT}\n" + script.replace("/etc/saga/", f"{self._folder}/")

    def _set_up_balancer(self) -> None:
        configuration = self._folder / "haproxy.cfg"
        configuration.write_text(self._printed.block("5. Load balancer"))
        self._add("lb", {"haproxy": f"haproxy -db -f {configuration}"})
