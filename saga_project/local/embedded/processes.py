"""Shared by both embedded servers: an account, a port, and a process that outlives its launcher."""

from __future__ import annotations

import contextlib
import os
import pwd
import secrets
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from saga_project.local import embedded

ACCOUNTS = ("saga", "postgres", "nobody")
PATIENCE_SECONDS = 60.0  # a PostgreSQL that was killed may have much to replay
LAST_WORDS_SECONDS = 5.0
LOG_LIMIT_BYTES = 5_000_000
PORTS_TO_TRY = 3
# Below those that Linux gives to outgoing connections, of which there are always some.
FREE_PORTS = range(20_000, 32_000)


class ServerFailed(Exception):
    """An embedded server did not start; the message is for the operator."""


@dataclass(frozen=True)
class Account:
    """An existing account to which root hands a server that refuses to run as root."""

    uid: int
    gid: int

    def run(self, argv: Sequence[str | Path]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            argv,
            check=False,
            user=self.uid,
            group=self.gid,
            extra_groups=[],
            cwd="/",
            capture_output=True,
            text=True,
        )

    def reaches(self, path: Path) -> bool:
        """Return whether the account can enter (or run) ``path`` through all folders above it."""
        return self.run(["/usr/bin/test", "-x", path]).returncode == 0


def unprivileged_account() -> Account | None:
    """Return the account that root must use for PostgreSQL; None where we are not root."""
    if os.geteuid() != 0:
        return None
    for name in ACCOUNTS:
        with contextlib.suppress(KeyError):
            entry = pwd.getpwnam(name)
            return Account(entry.pw_uid, entry.pw_gid)
    raise ServerFailed(f"PostgreSQL cannot run as root, and none of {', '.join(ACCOUNTS)} exists.")


@dataclass
class Server:
    """One embedded server: started, or adopted where a launcher that crashed left it running."""

    name: str
    data_dir: Path
    folder: Path
    argv: list[str]
    port_option: str
    pid_file: Path
    stop_with: list[tuple[signal.Signals, float]]
    is_answering: Callable[[], bool]
    account: Account | None = None
    child: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def log_file(self) -> Path:
        return self.data_dir / "logs" / f"{self.name}.log"

    @property
    def exit_status(self) -> int | None:
        """How the process that we started ended; unknown of one that was adopted."""
        return self.child.returncode if self.child else None

    def find(self) -> psutil.Process | None:
        """Return the running server: the process of the pid file, if it works in our folder.

        After a reboot the number may belong to any process, so the number alone is not trusted.
        """
        if self.child and self.child.poll() is None:
            return psutil.Process(self.child.pid)  # it may not have written its file yet
        try:
            process = psutil.Process(int(self.pid_file.read_text().split()[0]))
            is_ours = (
                process.status() != psutil.STATUS_ZOMBIE and Path(process.cwd()) == self.folder
            )
        except (OSError, IndexError, ValueError, psutil.Error):
            return None
        return process if is_ours else None

    def start(self) -> bool:
        """Return when the server answers; False says that it ran already and was adopted."""
        if self.find():
            with contextlib.suppress(ServerFailed):  # it was killed, and had not ended yet
                self.wait()
                return False
        self._outwait_what_is_left()
        self._start_on_a_free_port()
        return True

    def _outwait_what_is_left(self) -> None:
        """Wait for the children of a killed PostgreSQL, which end a moment after it."""
        deadline = time.monotonic() + LAST_WORDS_SECONDS
        while self._is_something_left() and time.monotonic() < deadline:
            time.sleep(0.05)

    def _is_something_left(self) -> bool:
        """Return whether a killed server, named by its pid file, left processes of its own."""
        if not self.pid_file.exists():
            return False
        return any(
            process.info["cwd"] == str(self.folder)
            and process.info["status"] != psutil.STATUS_ZOMBIE
            for process in psutil.process_iter(["cwd", "status"])
        )

    def _forget_a_zombie(self) -> None:
        """Remove the pid file of a server that no process reaped.

        PostgreSQL would take it for a running one, for ever where process 1 of a container reaps no child.
        """
        with contextlib.suppress(OSError, IndexError, ValueError, psutil.Error):
            last = psutil.Process(int(self.pid_file.read_text().split()[0]))
            if last.status() == psutil.STATUS_ZOMBIE and not self._is_something_left():
                self.pid_file.unlink()

    def _start_on_a_free_port(self) -> None:
        """Another program may take a free port before the server binds it."""
        for attempt in range(1, PORTS_TO_TRY + 1):
            port = embedded.port(self.data_dir, self.name)
            if not _is_free(port):
                port = any_free_port()
            embedded.remember_port(self.data_dir, self.name, port)
            self.spawn()
            try:
                self.wait()
            except ServerFailed:
                if _is_free(port) or attempt == PORTS_TO_TRY:
                    raise
            else:
                return

    def spawn(self) -> None:
        """Start the process on the remembered port, which clients already know."""
        port = embedded.port(self.data_dir, self.name)
        self.log_file.parent.mkdir(exist_ok=True)
        _limit(self.log_file)
        self._forget_a_zombie()
        with self.log_file.open("ab") as log:
            self.child = subprocess.Popen(
                [*self.argv, self.port_option, str(port)],
                cwd=self.folder if self.account is None else "/",
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                user=self.account.uid if self.account else None,
                group=self.account.gid if self.account else None,
                extra_groups=[] if self.account else None,
            )

    def wait(self) -> None:
        """Return when the server answers; raises ServerFailed where it ends or takes too long."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not self.is_answering():
            if self.find() is None or time.monotonic() > deadline:
                raise ServerFailed(f"{self.name} does not start; its log is {self.log_file}.")
            time.sleep(0.03)

    def stop(self) -> None:
        """Stop the server, politely first; returns when it is gone."""
        process = self.find()
        if process is None:
            return
        with contextlib.suppress(psutil.NoSuchProcess):
            for number, seconds in [*self.stop_with, (signal.SIGKILL, 5.0)]:
                process.send_signal(number)
                if _has_ended(process, seconds):
                    break
        if self.child:
            self.child.wait()


def _has_ended(process: psutil.Process, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def any_free_port() -> int:
    """Return a port that is free now, picked at random: two that ask at once get different ones."""
    return next(port for port in iter(_any_port, None) if _is_free(port))


def _any_port() -> int:
    return FREE_PORTS.start + secrets.randbelow(len(FREE_PORTS))


def _limit(log: Path) -> None:
    if log.exists() and log.stat().st_size > LOG_LIMIT_BYTES:
        log.replace(log.with_suffix(".log.1"))
