"""Groups and commands of ``saga``: loaded when they are called, with the general options everywhere."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterator
from typing import Any

import click

from saga_client.command_line import options


class Command(click.Command):
    """A command with the general options; it receives a Session as its first argument."""

    def __init__(self, *arguments: Any, **fields: Any) -> None:
        super().__init__(*arguments, **fields)
        own = {name for parameter in self.params for name in parameter.opts}
        general = [each for each in options.general() if not own & set(each.opts)]
        self.params = [*self.params, *general]

    def invoke(self, context: click.Context) -> Any:
        context.obj = options.remember(context)
        session = importlib.import_module("saga_client.command_line.session")
        with session.Session(context.obj) as opened:
            context.params = {"session": opened, **context.params}
            return super().invoke(context)


class Group(click.Group):
    """A group whose commands take the general options."""

    command_class = Command

    def __init__(self, *arguments: Any, **fields: Any) -> None:
        super().__init__(*arguments, **fields)
        self.params = [*self.params, *options.general()]

    def invoke(self, context: click.Context) -> Any:
        options.remember(context)
        return super().invoke(context)


Group.group_class = Group


class LazyGroup(Group):
    """The top: it knows the modules and summaries of its commands, and imports those that are called."""

    def __init__(self, *arguments: Any, table: dict[str, tuple[str, str]], **fields: Any) -> None:
        super().__init__(*arguments, **fields)
        self.table = table

    def list_commands(self, context: click.Context) -> list[str]:
        return [*self.table, *sorted(set(extensions()) - set(self.table))]

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        if name in self.table:
            module = importlib.import_module(f"saga_client.command_line.{self.table[name][0]}")
            found = getattr(module, name.replace("-", "_"))
        elif name in (known := extensions()):
            place, _, attribute = known[name].partition(":")
            found = getattr(importlib.import_module(place), attribute)
        else:
            return None
        assert isinstance(found, click.Command)  # noqa: S101 (the type of what a name stands for)
        return found

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        rows = [(name, summary) for name, (_, summary) in self.table.items()]
        rows += [
            (name, f"From {target.partition('.')[0]}.")
            for name, target in sorted(extensions().items())
        ]
        with formatter.section("Commands"):
            formatter.write_dl(rows)


def extensions() -> dict[str, str]:
    """Return the commands that other distributions bring: the name of each and its ``module:attribute``.

    The files are read here because importing ``importlib.metadata`` takes longer than the rest of the start.
    """
    found: dict[str, str] = {}
    for file in _entry_point_files():
        with open(file, "rb") as opened:  # noqa: PTH123 (pathlib costs 15 ms)
            text = opened.read()
        if b"[saga.commands]" in text:
            section = text.decode().split("[saga.commands]", 1)[1].split("\n[", 1)[0]
            for line in section.splitlines():
                name, sign, target = line.partition("=")
                if sign:
                    found.setdefault(name.strip(), target.strip())
    return found


def _entry_point_files() -> Iterator[str]:
    for folder in sys.path:
        try:
            names = os.listdir(folder or ".")  # noqa: PTH208
        except OSError:
            continue
        for name in names:
            if name.endswith((".dist-info", ".egg-info")):
                file = os.path.join(folder, name, "entry_points.txt")  # noqa: PTH118
                if os.path.exists(file):  # noqa: PTH110
                    yield file
