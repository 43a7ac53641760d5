"""The first process of a host in namespaces: keeps the host's programs running, as a service manager does.

Its plan comes as one line of JSON on standard input, once the host has its address. Python programs are
forks of it, as in ``make run``: loading Saga's code in each would take most of a campaign's time.
"""

from __future__ import annotations

import json
import os
import shlex
import socket
import string
import sys
from collections.abc import Sequence
from pathlib import Path

from django.conf import settings

from saga_project.local import forks
from saga_project.local.programs import Program
from saga_project.local.supervisor import Supervisor

ROOT = Path(__file__).resolve().parents[2]
PYTHON_PROGRAMS = ("uvicorn", "celery")


def main() -> None:
    sys.stdout.write("the namespaces are made\n")
    sys.stdout.flush()
    plan = json.loads(sys.stdin.readline())
    socket.sethostname(plan["name"])
    os.environ.update(plan["environment"])
    programs = [Program(name, argv_of(command)) for name, command in plan["programs"].items()]
    is_forking = bool(programs) and all(each.argv[0] == sys.executable for each in programs)
    if is_forking:
        os.environ["DJANGO_SETTINGS_MODULE"] = "saga_project.settings"
        settings.SAGA_DATA_DIR.mkdir(parents=True, exist_ok=True)
        forks.load()
    with Path(sys.argv[1]).open("ab") as log:
        for number in (1, 2):
            os.dup2(log.fileno(), number)
    Supervisor(programs, servers=[], folder=ROOT, is_forking=is_forking).run()


def argv_of(command: str) -> Sequence[str]:
    """Return the words of a shell command with its variables; a Python program's are for ``python``."""
    argv = shlex.split(string.Template(command).substitute(os.environ))
    program = Path(argv[0]).name
    if program in PYTHON_PROGRAMS:
        return [sys.executable, "-m", program, *argv[1:]]
    if program.startswith("python"):
        return [sys.executable, *argv[1:]]
    return argv


if __name__ == "__main__":
    main()
