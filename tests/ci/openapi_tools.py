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
    """Return the tools, those of npm installed; skips the test where npm cannot install them."""
    if obstacle := _obstacle_of_npm():
        pytest.skip(obstacle)
    return module()


@cache
def _obstacle_of_npm() -> str:
    if shutil.which("npm") is None or shutil.which("node") is None:
        return "node and npm are not installed"
    try:
        module().install_npm_tools()
    except module().ToolFailed as exc:
        return f"npm install: {str(exc).strip()[-300:]}"
    return ""


def with_python() -> Any:
    """Return the tools, those of PyPI installed."""
    module().install_python_tools()
    return module()
