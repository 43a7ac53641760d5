"""Lint the container files, and run the Dockerfile's own steps without an engine: ``make image-dry-run``.

Each stage gets a root of its own: folders of this machine's system under an overlay, and this interpreter as
/usr/local in place of the base image. RUN, COPY, ENV, USER and WORKDIR are applied in it. Then the last stage
is run as its user on a root that cannot be written to, beside a throwaway PostgreSQL and Valkey: `prepare`,
the command, and the health check until it passes.

What this does not show: the base image, layers and their cache, capabilities, the network of containers.
It needs Linux and root (mounts, chroot).
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import dockerfile

ROOT = Path(__file__).resolve().parents[1]
WORK = ROOT / "var" / "image"
TOOLS = WORK / "venv" / "bin"
COMPOSE_FILES = ("docker-compose.yml", "docker-compose.external.yml")
#: Parts of the system that the base image would bring; written to through an overlay.
LOWER = ("usr", "etc")
HEALTHY_WITHIN_SECONDS = 120
EVERYWHERE = "0.0.0.0"  # noqa: S104 - it is replaced
VALIDATE_COMPOSE = """
import re, sys, yaml, compose_spec
VARIABLE = re.compile(r"(?<!\\$)\\$\\{\\w+(?::([-?])([^}]*))?\\}")
for name in sys.argv[1:]:
    text = VARIABLE.sub(lambda m: m[2] if m[1] == "-" else "given", open(name).read())
    compose_spec.PyCompose.from_yaml(yaml.safe_dump(yaml.safe_load(text))).validate()
    print(f"{name} follows the Compose specification")
"""


class Machine:
    """The root of one stage, and what its instructions have set so far."""

    def __init__(self, name: str) -> None:
        self.folder = WORK / "stages" / name
        self.root = self.folder / "root"
        self.environment = {"PATH": "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root"}
        self.user = "0"
        self.present_folder = "/"
        for part in (*LOWER, "work"):
            for kind in ("upper", "work"):
                (self.folder / kind / part).mkdir(parents=True, exist_ok=True)
        for part in (*LOWER, "proc", "dev", "tmp", "root", "home", "var/tmp", "run", "opt"):
            (self.root / part).mkdir(parents=True, exist_ok=True)
        for name in ("bin", "lib", "lib64", "sbin"):
            (self.root / name).symlink_to(f"usr/{name}")
        (self.root / "tmp").chmod(0o1777)

    def put_interpreter(self) -> None:
        """Copy this interpreter to /usr/local, where the base image has its own."""
        place = self.folder / "upper" / "usr" / "local"
        base = Path(sys.base_prefix)
        if base == Path("/usr"):
            self.run(["python3", "-m", "venv", "/usr/local"])
            return
        for part in ("bin", "lib"):
            shutil.copytree(base / part, place / part, symlinks=True, dirs_exist_ok=True)
        self.environment["LD_LIBRARY_PATH"] = "/usr/local/lib"

    def run(
        self, command: list[str], *, is_read_only: bool = False, **more: str
    ) -> subprocess.Popen[bytes]:
        """Start a command in this root, and wait for it unless the root is read-only."""
        mounts = [f"mount --bind {self.root} {self.root}"]
        mounts += [
            f"mount -t overlay overlay -o lowerdir=/{part},upperdir={self.folder}/upper/{part},"
            f"workdir={self.folder}/work/{part} {self.root}/{part}"
            for part in LOWER
        ]
        mounts += [f"mount --rbind /{part} {self.root}/{part}" for part in ("proc", "dev")]
        if is_read_only:
            mounts += [
                f"mount -o remount,ro,bind {self.root}",
                *(f"mount -o remount,ro {self.root}/{part}" for part in LOWER),
                f"mount -t tmpfs tmpfs {self.root / 'tmp'}",
                f"mount --bind {self.folder}/data {self.root}/data",
            ]
        account = ["setpriv", f"--reuid={self.user}", f"--regid={self.user}", "--clear-groups"]
        variables = [f"{name}={text}" for name, text in {**self.environment, **more}.items()]
        inside = [
            *("chroot", str(self.root), *account, "env", "-i", *variables),
            *("sh", "-c", 'cd "$0" && exec "$@"', self.present_folder, *command),
        ]
        script = " && ".join([*mounts, 'exec "$@"'])
        command = ["unshare", "--mount", "sh", "-c", script, "sh", *inside]
        process = subprocess.Popen(command)
        if not is_read_only and process.wait():
            sys.exit(f"The step ended with {process.returncode}.")
        return process

    def copy(self, arguments: str, others: dict[str, Machine]) -> None:
        *options, source, target = arguments.split()
        origin = ROOT
        for option in options:
            origin = others[option.removeprefix("--from=")].root
        place = self.root / self.present_folder.lstrip("/") / target.lstrip("/")
        if target.startswith("/"):
            place = self.root / target.lstrip("/")
        found = origin / source.lstrip("/")
        if found.is_dir():
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(found, place, symlinks=True, dirs_exist_ok=True, ignore=ignored)
        else:
            shutil.copy(found, place / found.name if place.is_dir() else place)


def lint() -> None:
    subprocess.run([TOOLS / "hadolint", "--failure-threshold", "info", "Dockerfile"], check=True)
    print("hadolint has no complaint about Dockerfile")
    python = [str(TOOLS / "python"), "-c", VALIDATE_COMPOSE]
    subprocess.run([*python, *COMPOSE_FILES], check=True, cwd=ROOT)


def build(text: str) -> tuple[Machine, dict[str, list[str]]]:
    """Apply every step; return the root of the last stage, its command and its health check."""
    machines: dict[str, Machine] = {}
    starts: dict[str, list[str]] = {}
    for stage in dockerfile.stages(text):
        machine = machines[stage.name] = Machine(stage.name)
        machine.put_interpreter()
        for name, arguments in stage.steps:
            print(f"{stage.name}: {name} {arguments[:120]}", flush=True)
            if name == "CMD":
                starts[name] = dockerfile.command(arguments)
            elif name == "HEALTHCHECK":
                starts[name] = dockerfile.health_command(arguments)
            else:
                apply(machine, name, arguments, machines)
    return machine, starts


def apply(machine: Machine, name: str, arguments: str, others: dict[str, Machine]) -> None:
    if name == "RUN":
        machine.run(dockerfile.command(arguments))
    elif name == "COPY":
        machine.copy(arguments, others)
    elif name == "ENV":
        machine.environment |= dockerfile.variables(arguments, machine.environment)
    elif name == "WORKDIR":
        machine.present_folder = arguments
        (machine.root / arguments.lstrip("/")).mkdir(parents=True, exist_ok=True)
    elif name == "USER":
        machine.user = arguments
    elif name not in {"EXPOSE", "VOLUME"}:
        sys.exit(f"The dry run does not know {name}.")


def serve(machine: Machine, starts: dict[str, list[str]], servers: dict[str, str]) -> None:
    """Run the image as compose does: prepare, then the command, on a root that cannot be written to."""
    data = machine.folder / "data"
    data.mkdir()
    os.chown(data, int(machine.user), int(machine.user))
    port = servers.pop("PORT")
    variables = {**servers, "SAGA_AUTH": "required", "SAGA_ALLOWED_HOSTS": "127.0.0.1"}
    probe = machine.run(["sh", "-c", "! touch /app/x && touch /data/x /tmp/x"], is_read_only=True)
    if probe.wait():
        sys.exit("The root can be written to, or a volume cannot.")
    if machine.run(["python", "manage.py", "prepare"], is_read_only=True, **variables).wait():
        sys.exit("`prepare` failed.")
    # On this machine alone, at a port that is free: the container's own network is not there.
    here = [word.replace("8030", port).replace(EVERYWHERE, "127.0.0.1") for word in starts["CMD"]]
    check = [word.replace("8030", port) for word in starts["HEALTHCHECK"]]
    web = machine.run(here, is_read_only=True, **variables)
    try:
        ends_at = time.monotonic() + HEALTHY_WITHIN_SECONDS
        while machine.run(check, is_read_only=True).wait():
            if web.poll() is not None or time.monotonic() > ends_at:
                sys.exit("The health check does not pass.")
            time.sleep(1)
        owner = Path(f"/proc/{web.pid}").stat().st_uid
        print(f"The health check passes; the command runs as user {owner}, on a read-only root.")
        if owner == 0:
            sys.exit("The command runs as root.")
    finally:
        web.send_signal(signal.SIGTERM)
        web.wait(30)
    print(f"It stopped on SIGTERM with status {web.returncode}.")


def main() -> None:
    lint()
    if sys.platform != "linux" or os.geteuid() != 0:
        print("The steps of the Dockerfile were not run: that takes Linux and root.")
        return
    shutil.rmtree(WORK / "stages", ignore_errors=True)
    machine, starts = build((ROOT / "Dockerfile").read_text())
    with subprocess.Popen(
        [sys.executable, "-m", "saga_project.local.embedded.throwaway"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as child:
        assert child.stdout  # noqa: S101 - it is a pipe
        servers = json.loads(child.stdout.readline())
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = str(free.getsockname()[1])
        try:
            serve(machine, starts, {**servers, "PORT": port})
        finally:
            child.communicate()
    shutil.rmtree(WORK / "stages")


if __name__ == "__main__":
    main()
