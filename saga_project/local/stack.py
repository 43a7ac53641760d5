"""The whole of Saga on one machine, in one terminal: ``saga server run``, or ``make run``.

Starts PostgreSQL and Valkey (unless DATABASE_URL and REDIS_URL name others), web processes, workers and
beat; keeps them running; stops what it started on Ctrl-C.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from django.conf import settings

from saga_project import env
from saga_project.env import ConfigurationError
from saga_project.local import forks, greeting, holding, listening, printing
from saga_project.local.embedded import postgresql, valkey
from saga_project.local.embedded.processes import Server, ServerFailed
from saga_project.local.printing import SAGA
from saga_project.local.programs import Program
from saga_project.local.supervisor import Supervisor
from saga_project.shared import counters

ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 (to reach what listens there)
WORKER_THREADS = 16
#: Health reports a queue whose worker was silent for ten seconds.
HEARTBEAT_SECONDS = 3
LAST_WORDS_SECONDS = 2.0
#: By way of asgi, which sets Django up: with several workers uvicorn imports the protocol first.
FAST_PATH_PROTOCOL = "saga_project.asgi:fast_path.FastPathProtocol"
PLAIN_PROTOCOL = "saga_project.web.accepting:SharingProtocol"
CELERY = (
    *(sys.executable, "-W", "ignore:You're running the worker with superuser privileges"),
    *("-m", "celery", "--app=saga_project.celery", "--quiet"),
)


class CannotStart(Exception):
    """Ends the command with its sentence on standard error and exit status 1."""


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "saga_project.settings")
    sys.excepthook = printing.end_with_traceback
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    try:
        run(is_browser_wanted="--open" in sys.argv[1:])
    except (CannotStart, ConfigurationError, ServerFailed, holding.DataFolderInUse) as exc:
        printing.end_with(str(exc))
        sys.exit(1)
    except KeyboardInterrupt:  # before the supervisor took over
        sys.exit(128 + signal.SIGINT)


def run(*, is_browser_wanted: bool) -> None:
    """Serve until a stop signal."""
    started_at = time.monotonic()
    _keep_paths()
    settings.SAGA_DATA_DIR.mkdir(parents=True, exist_ok=True)
    with holding.data_folder(settings.SAGA_DATA_DIR), _listening_socket() as listener:
        # Counters of processes of an earlier start.
        shutil.rmtree(settings.SAGA_DATA_DIR / "run", ignore_errors=True)
        Path(os.environ["PROMETHEUS_MULTIPROC_DIR"]).mkdir(parents=True, exist_ok=True)
        servers: list[Server] = []
        try:
            _start_servers(servers)
            if forks.are_possible():
                forks.load()
            printing.show(SAGA, "preparing the database")
            _prepare_database()
            greeting.say_where_the_token_is()
            printing.show(SAGA, "starting the web processes")
            _supervise(listener, servers, started_at, is_browser_wanted=is_browser_wanted)
        finally:
            _stop_servers(servers)


def _keep_paths() -> None:
    """Paths that are relative to the present folder mean the same to the programs, which run in another."""
    env.pin("SAGA_DATA_DIR", str(settings.SAGA_DATA_DIR))
    if config := os.environ.get("SAGA_CONFIG"):
        env.pin("SAGA_CONFIG", str(Path(config).resolve()))


@contextmanager
def _listening_socket() -> Iterator[socket.socket]:
    """Listen here, for all web processes: connections wait while one of them is started again."""
    try:
        listener = listening.listen(settings.HOST, settings.PORT)
    except socket.gaierror as exc:
        raise CannotStart(f"Saga cannot find HOST={settings.HOST} ({exc.strerror}).") from exc
    except OSError as exc:
        raise CannotStart(
            f"Saga cannot listen on {settings.HOST}:{settings.PORT} ({os.strerror(exc.errno or 0)});"
            " stop what listens there, or set PORT to another number."
        ) from exc
    with listener:
        yield listener


def _start_servers(servers: list[Server]) -> None:
    """Start what is not named elsewhere; appends each before its start, so that it can be stopped."""
    if not os.environ.get("DATABASE_URL"):
        _start(postgresql.server(settings.SAGA_DATA_DIR), servers)
        postgresql.create_database(settings.SAGA_DATA_DIR)
    if not os.environ.get("REDIS_URL"):
        _start(valkey.server(settings.SAGA_DATA_DIR), servers)


def _start(server: Server, servers: list[Server]) -> None:
    servers.append(server)
    is_new = server.start()
    printing.show(
        SAGA, f"{server.name} {'started' if is_new else 'was still running and is used again'}"
    )


def _prepare_database() -> None:
    """Run in a process of its own, so that its memory is free before the others start."""
    program = Program("prepare", [sys.executable, "-m", "saga_project", "prepare"])
    with program.spawn(settings.BASE_DIR, is_forked=forks.are_possible()) as output:
        lines = output.read().decode(errors="replace").splitlines()
    program.wait()
    if program.exit_status:
        raise CannotStart("\n".join(lines))
    for line in lines:
        printing.show(SAGA, line)


def _stop_servers(servers: list[Server]) -> None:
    for server in reversed(servers):
        server.stop()
        printing.show(SAGA, f"{server.name} stopped")


def _supervise(
    listener: socket.socket, servers: list[Server], started_at: float, *, is_browser_wanted: bool
) -> None:
    """Start the web processes, and the others once those answer: each has the machine for its start."""
    supervisor = Supervisor(
        _web_programs(listener),
        servers=servers,
        folder=settings.BASE_DIR,
        grace_seconds=settings.SAGA_SHUTDOWN_SECONDS + LAST_WORDS_SECONDS,
        is_forking=forks.are_possible(),
    )
    question = _ask()

    def greet() -> None:
        is_answered = bool(question.recv(1024))
        supervisor.forget(question)
        if is_answered:
            greeting.greet(time.monotonic() - started_at, is_browser_wanted=is_browser_wanted)
        for program in _background_programs():
            supervisor.add(program)

    supervisor.watch(question, greet)
    supervisor.run()


def _web_programs(listener: socket.socket) -> list[Program]:
    fd = listener.fileno()
    return [
        Program(f"web.{number}", _web(fd), pass_fds=[fd], is_ready=_has_begun)
        for number in range(1, settings.SAGA_WEB_PROCESSES + 1)
    ]


def _has_begun(pid: int) -> bool:
    """Whether a web process has come so far that it shares its counters: it answers next."""
    return counters.file_of(settings.RUN_DIR, pid).exists()


def _background_programs() -> list[Program]:
    """Sweeps, deliveries and rollouts have processes of their own, so that none of them holds up another."""
    rollouts = f"--queues=updates,node.{settings.SAGA_NODE_NAME}"
    threads = f"--concurrency={WORKER_THREADS}"
    return [
        Program("sweeps", [sys.executable, "-m", "saga_project", "sweep"]),
        Program("worker", _worker("worker", rollouts, threads)),
        Program("delivery", _worker("delivery", "--queues=webhooks", threads)),
        Program("checks", [sys.executable, "-m", "saga_project", "check_services"]),
        Program("beat", [*CELERY, "beat", "--loglevel=WARNING"]),
    ]


def _web(fd: int) -> list[str]:
    http = FAST_PATH_PROTOCOL if settings.SAGA_FAST_PATH else PLAIN_PROTOCOL
    return [
        *(sys.executable, "-m", "uvicorn", "saga_project.asgi:application", f"--fd={fd}"),
        *("--loop=uvloop", f"--http={http}", "--log-level=warning", "--no-access-log"),
        *(
            "--no-server-header",
            "--no-proxy-headers",
            "--timeout-keep-alive=75",
            f"--timeout-graceful-shutdown={settings.SAGA_SHUTDOWN_SECONDS}",
        ),
    ]


def _worker(name: str, *options: str) -> list[str]:
    return [
        *(*CELERY, "worker", f"--hostname={name}@%h", "--loglevel=WARNING"),
        *("--without-gossip", "--without-mingle", "--pool=threads"),
        f"--heartbeat-interval={HEARTBEAT_SECONDS}",
        *options,
    ]


def _ask() -> socket.socket:
    """Send a first request; it waits in the socket's queue until a web process takes it."""
    question = socket.create_connection((ANYWHERE.get(settings.HOST, settings.HOST), settings.PORT))
    question.sendall(b"GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    return question


if __name__ == "__main__":
    main()
