"""The lock on a data folder: two launchers would start everything twice over the same data."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class DataFolderInUse(Exception):
    """Another process works with the data; the text names it and says what to do."""


@contextmanager
def data_folder(path: Path) -> Iterator[None]:
    """Lock the data folder until the block ends; raises DataFolderInUse."""
    with (path / "launcher.lock").open("a+") as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # which no fork inherits
        except BlockingIOError:
            file.seek(0)
            raise DataFolderInUse(
                f"Saga already runs with the data in {path} (process {file.read().strip()});"
                " stop it there with Ctrl-C first."
            ) from None
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield
