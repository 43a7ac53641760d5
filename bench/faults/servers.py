"""A PostgreSQL and a Valkey of the bench's own, with an empty database; gone when the process ends."""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator

import django
from django.core.management import call_command


@contextlib.contextmanager
def running() -> Iterator[None]:
    command = [sys.executable, "-m", "saga_project.local.embedded.throwaway"]
    with (
        tempfile.TemporaryDirectory(prefix="saga-faults-") as folder,
        subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as child,
    ):
        addresses = child.stdout.readline() if child.stdout else "{}"
        os.environ.update(json.loads(addresses))
        os.environ["SAGA_DATA_DIR"] = folder
        os.environ["DJANGO_SETTINGS_MODULE"] = "saga_project.settings"
        django.setup()
        importlib.import_module("saga_project.celery")
        call_command("migrate", verbosity=0)
        try:
            yield
        finally:
            child.communicate()
