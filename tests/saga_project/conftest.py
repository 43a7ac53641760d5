"""Data folders for servers that a test starts itself."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from saga_project import embedded
from saga_project.embedded import processes


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
