"""``saga apply``, ``saga diff`` and ``saga export``: the whole configuration as one file."""

from __future__ import annotations

import datetime as dt
import json
import re
import sys
from pathlib import Path
from typing import Any

import click

from saga_client.command_line import structure
from saga_client.command_line.session import Session

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

TYPES = {".json": "application/json", ".toml": "application/toml"}
#: Of a directory; JSON is YAML, and TOML becomes it.
PARTS = (".yaml", ".yml", ".json", ".toml")
LISTED = "action section item"
_UNUSUAL = re.compile(r"[^ -~]")
_FILE = click.argument("file")


@click.command(cls=structure.Command)
@_FILE
@click.option("--dry-run", is_flag=True, help="Show what would change, and change nothing.")
def apply(session: Session, file: str, dry_run: bool) -> None:
    """Make the installation what a file says, in one transaction.

    FILE is YAML, JSON (.json) or TOML (.toml), or a directory: its files are one together; - is
    YAML from standard input.
    """
    _show(session, _send(session, file, is_dry_run=dry_run))


@click.command(cls=structure.Command)
@_FILE
def diff(session: Session, file: str) -> None:
    """Show what `saga apply` would change."""
    _show(session, _send(session, file, is_dry_run=True))


@click.command(cls=structure.Command)
@click.option("--managed-by", help="Only what this file manages.")
@click.option("--file", help="Write to this file [default: standard output].")
def export(session: Session, managed_by: str | None, file: str | None) -> None:
    """Export the YAML file that recreates this installation.

    With --output json, it is JSON.
    """
    form = "json" if session.options.output == "json" else "yaml"
    query = {"format": form, "managed_by": managed_by}
    headers = {"Accept": "*/*"}
    with session.saga.transport.opened("GET", "/export", query=query, headers=headers) as answer:
        text = answer.read()
    if file:
        Path(file).write_bytes(text)
    else:
        click.echo(text.decode().rstrip())


def _send(session: Session, file: str, *, is_dry_run: bool) -> dict[str, Any]:
    try:
        text = sys.stdin.read().encode() if file == "-" else _read(Path(file))
    except OSError as exc:
        raise click.BadParameter(f"{file} cannot be read: {exc.strerror}.") from exc
    kind = TYPES.get(Path(file).suffix, "application/yaml")
    query = {"dry_run": "true" if is_dry_run else None}
    headers = {"Content-Type": kind}
    with session.saga.transport.opened(
        "POST", "/apply", query=query, body=text, headers=headers, timeout=120
    ) as answer:
        return dict(json.loads(answer.read()))


def _read(path: Path) -> bytes:
    """Return the file, or the files of the directory as documents of one YAML stream."""
    if not path.is_dir():
        return path.read_bytes()
    files = sorted(each for each in path.iterdir() if each.suffix in PARTS)
    if not files:
        raise click.BadParameter(f"{path} holds no file that ends with {', '.join(PARTS)}.")
    return b"".join(b"---\n" + _part(each).rstrip() + b"\n" for each in files)


def _part(path: Path) -> bytes:
    text = path.read_bytes()
    if path.suffix != ".toml":
        return text
    try:
        document = tomllib.loads(text.decode("utf-8"))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as exc:
        raise click.BadParameter(f"{path} is no TOML: {exc}") from exc
    as_json = json.dumps(document, default=_moment, ensure_ascii=False)
    # YAML knows no surrogate pairs, and no other characters of this kind as they are.
    return _UNUSUAL.sub(lambda found: f"\\U{ord(found[0]):08x}", as_json).encode()


def _moment(value: object) -> str:
    """Return the text of what JSON lacks: TOML's dates and times."""
    if isinstance(value, (dt.date, dt.time)):
        return value.isoformat()
    raise TypeError(type(value).__name__)


def _show(session: Session, document: dict[str, Any]) -> None:
    if session.is_structured:
        session.show(document)
        return
    if document["changes"]:
        session.show(document, rows="changes", columns=LISTED)
    counts = ("created", "updated", "deleted", "unchanged")
    session.say(", ".join(f"{document[name]} {name}" for name in counts))
