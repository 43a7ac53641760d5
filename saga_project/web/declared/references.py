"""Secrets by reference: ``${env:NAME}`` and ``${file:NAME}``, out of what is meant for this.

A caller of the API is not the operator of the machine: it can name variables that begin with ``SAGA_SECRET_``
and files in one folder, and reach no other.
"""

from __future__ import annotations

import os
import re
from typing import Any

from django.conf import settings

from saga_project.shared import errors

PREFIX = "SAGA_SECRET_"
FOLDER = "references"
MAX_BYTES = 64 * 1024
_REFERENCE = re.compile(r"\$\{(env|file):([A-Za-z0-9_][A-Za-z0-9._-]{0,127})\}", re.ASCII)
#: A text that contains this is meant as a reference, and is no secret by itself.
_INTENDED = re.compile(r"\$\{(env|file):")


class InvalidReference(errors.InvalidRequest):
    error = "Invalid reference"


def is_reference(value: Any) -> bool:
    """Return whether a text, or each text of an object, refers to a secret."""
    if isinstance(value, dict):
        return bool(value) and all(map(is_reference, value.values()))
    return isinstance(value, str) and _REFERENCE.fullmatch(value) is not None


def resolve(value: Any) -> Any:
    """Return the value with the secrets that it refers to. Raises InvalidReference."""
    if isinstance(value, dict):
        return {name: resolve(inner) for name, inner in value.items()}
    if not isinstance(value, str):
        return value
    match = _REFERENCE.fullmatch(value)
    if match is None:
        if _INTENDED.search(value):
            raise InvalidReference(
                f"A reference is ${{env:NAME}} or ${{file:NAME}}, and nothing beside it;"
                f" a file is named without its folder, which is {FOLDER}/ of the data directory."
            )
        return value
    return _from_environment(match[2]) if match[1] == "env" else _from_file(match[2])


def _from_environment(name: str) -> str:
    if not name.startswith(PREFIX):
        raise InvalidReference(f"A variable that a file may refer to begins with {PREFIX}.")
    value = os.environ.get(name)
    if value is None:
        raise InvalidReference(f"The variable '{name}' is not set where Saga runs.")
    return value


def _from_file(name: str) -> str:
    folder = (settings.SAGA_DATA_DIR / FOLDER).resolve()
    path = (folder / name).resolve()
    if not path.is_relative_to(folder):
        raise InvalidReference(f"The file '{name}' is outside of {folder}.")
    try:
        with path.open("rb") as file:
            return file.read(MAX_BYTES).decode().rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as exc:
        raise InvalidReference(f"The file '{name}' in {folder} cannot be read.") from exc
