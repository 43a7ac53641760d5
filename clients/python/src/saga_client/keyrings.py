"""Tokens in the keyring of the desktop or the system, where there is one.

The library ``keyring`` is optional (``saga-client[keyring]``), and so is a keyring that it finds: without
one, tokens are in the file of profiles. It is imported only where a token is stored in it or read from it.
"""

from __future__ import annotations

import importlib
import importlib.util
from typing import Any

SERVICE = "saga"
#: Backends below it are the library's last resort: none at all, or a file without encryption.
RECOMMENDED = 1


def store(key: str, token: str) -> bool:
    """Store the token under ``key``; False where there is no keyring that takes it."""
    library = _library()
    if library is None:
        return False
    try:
        library.set_password(SERVICE, key, token)
        return bool(library.get_password(SERVICE, key) == token)
    except Exception:  # noqa: BLE001 (each backend has errors of its own; the file is there for all of them)
        return False


def read(key: str) -> str | None:
    """Return the token; None where it is not there, or the keyring is locked or gone."""
    library = _library()
    if library is None:
        return None
    try:
        found = library.get_password(SERVICE, key)
    except Exception:  # noqa: BLE001 (as above)
        return None
    return found if isinstance(found, str) else None


def forget(key: str) -> None:
    """Remove the token, where there is one."""
    library = _library()
    if library is not None:
        try:
            library.delete_password(SERVICE, key)
        except Exception:  # noqa: BLE001 (as above)
            return


def _library() -> Any:
    """Return the module ``keyring`` where it is installed and has a backend that keeps secrets."""
    if importlib.util.find_spec("keyring") is None:
        return None
    try:
        library = importlib.import_module("keyring")
        is_usable = library.get_keyring().priority >= RECOMMENDED
    except Exception:  # noqa: BLE001 (as above)
        return None
    return library if is_usable else None
