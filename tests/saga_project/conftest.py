"""Servers that tests start themselves, and web processes over the servers of all tests."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from saga_project.local import embedded
from saga_project.local.embedded import processes
from tests import failing, webserver
from tests.webserver import WebServer


@pytest.fixture(scope="session")
def server(django_db_setup: None, django_db_blocker: Any) -> Iterator[WebServer]:
    """Two web processes as they are served, for all tests that only talk to them."""
    with django_db_blocker.unblock(), webserver.serving(processes=2) as started:
        yield started


@pytest.fixture(scope="module")
def failing_stack(django_db_setup: None, django_db_blocker: Any) -> Iterator[failing.Stack]:
    with django_db_blocker.unblock(), failing.running() as started:
        yield started


@pytest.fixture
def stack(failing_stack: failing.Stack, redis: Any) -> Iterator[failing.Stack]:
    with failing_stack.whole() as lent:
        yield lent


@pytest.fixture(scope="module")
def data_dir() -> Iterator[Path]:
    """An empty data folder with ports of its own, where any account may go, as a server of root's must."""
    with tempfile.TemporaryDirectory(prefix="saga-", ignore_cleanup_errors=True) as name:
        folder = Path(name).resolve()
        folder.chmod(0o711)
        for server in embedded.PREFERRED_PORTS:
            embedded.remember_port(folder, server, processes.any_free_port())
        yield folder
        if (folder / "postgresql").is_symlink():
            shutil.rmtree((folder / "postgresql").resolve().parent)
