"""Read what command lines give in several words."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click
import yaml


def pairs(texts: Iterable[str]) -> dict[str, str]:
    """Return ``key=value`` texts as a dict."""
    found = {}
    for text in texts:
        key, sign, value = text.partition("=")
        if not sign or not key:
            raise click.BadParameter(f"'{text}' must read key=value.")
        found[key] = value
    return found


def settings(texts: Iterable[str], *, file: str | None = None) -> dict[str, Any]:
    """Return the fields of a file (JSON or YAML), overridden by ``key=value`` texts.

    A value is read as JSON where it is JSON (``true``, ``30``, ``["a"]``), else as a text.
    """
    fields = _of_file(file) if file else {}
    return {**fields, **{key: _value(text) for key, text in pairs(texts).items()}}


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _of_file(path: str) -> dict[str, Any]:
    try:
        text = sys.stdin.read() if path == "-" else Path(path).read_text("utf-8")
        document = yaml.safe_load(text)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as exc:
        raise click.BadParameter(f"{path} cannot be read: {exc}") from exc
    if not isinstance(document, dict):
        raise click.BadParameter(f"{path} must hold one object.")
    return document
