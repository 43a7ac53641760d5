"""What the launcher prints of its programs and of itself: ``name | line``, or one JSON object a line."""

from __future__ import annotations

import datetime as dt
import json
import os
import sys
import traceback
from contextlib import suppress
from typing import Any

SAGA = "saga"


def show(program: str, text: str) -> None:
    """Print it; a terminal that was closed must not keep the launcher from stopping the rest."""
    with suppress(OSError):
        print(render(program, text), flush=True)


def end_with(complaint: str) -> None:
    """Print to standard error why nothing starts."""
    sys.stderr.write(f"{render(SAGA, complaint, level='error') if _is_json() else complaint}\n")


def end_with_traceback(kind: type[BaseException], exc: BaseException, trace: Any) -> None:
    """Print to standard error what nothing caught; an object where lines are JSON (``sys.excepthook``)."""
    text = "".join(traceback.format_exception(kind, exc, trace)).rstrip()
    end_with(text)


def render(program: str, text: str, *, level: str = "info") -> str:
    """Return the line; an object that a program logged keeps its keys and gets ``program``."""
    if not _is_json():
        return f"{program:<8} | {text}"
    fact = _as_object(text)
    if fact is None:
        now = dt.datetime.now(dt.UTC).isoformat().replace("+00:00", "Z")
        fact = {"event": text, "level": level, "timestamp": now}
    return json.dumps({"program": program, **fact}, ensure_ascii=False)


def _as_object(text: str) -> dict[str, object] | None:
    if not text.startswith("{"):
        return None
    try:
        value = json.loads(text)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _is_json() -> bool:
    """Read the variable, not the settings: these may be what is wrong."""
    return os.environ.get("SAGA_LOG_FORMAT") == "json"
