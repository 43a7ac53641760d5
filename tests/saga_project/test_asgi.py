"""What a web process is beside its answers."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.webserver import WebServer

ON_LINUX = pytest.mark.skipif(not hasattr(os, "SCHED_BATCH"), reason="a policy of Linux")
BEGIN = """
import os
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "saga_project.settings")
from saga_project import asgi
os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
asgi._ignore_interrupt()
print(os.sched_getscheduler(0) == os.SCHED_IDLE)
"""
#: What a worker does first where uvicorn starts several.
LOAD = """
import uvicorn
from saga_project.local import stack
uvicorn.Config("saga_project.asgi:application", http=stack.FAST_PATH_PROTOCOL).load()
"""


def test_a_worker_of_several_loads_the_fast_path() -> None:
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "saga_project.settings"}

    subprocess.run([sys.executable, "-c", LOAD], env=environment, check=True)


@ON_LINUX
def test_a_web_process_finishes_the_turn_of_the_present_task(server: WebServer) -> None:
    for process in server.processes:
        assert os.sched_getscheduler(process.pid) == os.SCHED_BATCH


@ON_LINUX
def test_chosen_policy_is_kept() -> None:
    done = subprocess.run([sys.executable, "-c", BEGIN], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "True"
