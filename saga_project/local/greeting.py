"""What a start says to the person at the terminal: address, login, token, and what to do next."""

from __future__ import annotations

import sys
import webbrowser
from pathlib import Path

from django.conf import settings

from saga_project.local.printing import SAGA, show

NEXT = (
    "status",
    "services register hello http://127.0.0.1:9000",
    "--help",
)


def greet(seconds: float, *, is_browser_wanted: bool = False) -> None:
    """Print where Saga answers, ``seconds`` after its start."""
    show(SAGA, f"ready after {seconds:.1f} s on {_address()}")
    _say_how_to_log_in()
    _say_what_to_do_next()
    if is_browser_wanted and not webbrowser.open(_console()):
        show(SAGA, f"no browser was found; open {_console()}")


def say_where_the_token_is() -> None:
    """Name the file of the local token, not the token: what is printed ends up in logs."""
    if settings.SAGA_AUTH == "local-token":
        path = settings.SAGA_DATA_DIR / "secrets" / "local_token"
        show(SAGA, f"the token for every call is in {path}; 'Authorization: Bearer <token>'")
        show(SAGA, "`saga` reads that file by itself")


def _say_how_to_log_in() -> None:
    password = settings.SAGA_DATA_DIR / "admin-password"
    message = f"; the first password of admin is in {password}" if password.exists() else ""
    show(SAGA, f"console: {_console()}{message}")


def _say_what_to_do_next() -> None:
    """Print commands that work here without an activated environment, where `saga` is installed."""
    command = Path(sys.executable).with_name("saga")
    if not command.exists():
        return
    is_near = command.is_relative_to(Path.cwd())
    shown = command.relative_to(Path.cwd()) if is_near else command
    show(SAGA, "next:")
    for arguments in NEXT:
        show(SAGA, f"  {_with_address(str(shown))} {arguments}")


def _with_address(command: str) -> str:
    """`saga` asks the usual address by itself."""
    is_usual = (settings.HOST, settings.PORT) == ("127.0.0.1", 8030)
    return command if is_usual else f"SAGA_URL={_address()} {command}"


def _console() -> str:
    return f"{_address()}/admin/"


def _address() -> str:
    return f"http://{settings.HOST}:{settings.PORT}"
