"""The tools of ``.ci/openapi_tools.py``, for tests."""

from __future__ import annotations

import importlib.util
import shutil
from functools import cache
from pathlib import Path
from typing import Any

import pytest

PROGRAM = Path(__file__).resolve().parents[2] / ".ci" / "openapi_tools.py"


@cache
def module() -> Any:
    spec = importlib.util.spec_from_file_location("openapi_tools", PROGRAM)
    assert spec
    assert spec.loader
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


def with_npm() -> Any:
    """Return the tools, those of npm installed; skips the test where there is no npm."""
    if shutil.which("npm") is None or shutil.which("node") is None:
        pytest.skip("node and npm are not installed")
    module().install_npm_tools()
    return module()


def with_python() -> Any:
    """Return the tools, those of PyPI installed."""
    module().install_python_tools()
    return module()
