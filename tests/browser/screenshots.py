"""Screenshots of the real thing: ``make screenshots`` fills a throwaway Saga and photographs it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "docs" / "screenshots"
DESKTOP, PHONE = (1360, 900), (390, 844)


@contextmanager
def servers() -> Iterator[None]:
    """Start PostgreSQL and Valkey with throwaway data, and name them in the environment."""
    child = subprocess.Popen(
        [sys.executable, "-m", "saga_project.local.embedded.throwaway"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout
    with tempfile.TemporaryDirectory(prefix="saga-screenshots-") as folder:
        os.environ.update(json.loads(child.stdout.readline()), SAGA_DATA_DIR=folder)
        os.environ["DJANGO_SETTINGS_MODULE"] = "saga_project.settings"
        os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"
        yield
    child.communicate()


if __name__ == "__main__":
    with servers():
        subprocess.run([sys.executable, "manage.py", "migrate", "-v0"], cwd=ROOT, check=True)
        subprocess.run(
            [sys.executable, "-m", "tests.browser.gallery", *sys.argv[1:]], cwd=ROOT, check=True
        )
