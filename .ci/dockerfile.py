"""The instructions of a Dockerfile, as far as this project uses them."""

from __future__ import annotations

import dataclasses
import json
import re
import shlex
from collections.abc import Iterator

_HEALTH_CHECK = re.compile(r"(?:--\S+\s+)*CMD\s+(?P<command>.*)", re.DOTALL)


@dataclasses.dataclass
class Stage:
    """``FROM base AS name`` and what follows it, as (instruction, arguments)."""

    base: str
    name: str
    steps: list[tuple[str, str]] = dataclasses.field(default_factory=list)


def instructions(text: str) -> Iterator[tuple[str, str]]:
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n", " ", "\n".join(lines))
    for line in joined.splitlines():
        if line.strip():
            name, _, arguments = line.strip().partition(" ")
            yield name.upper(), arguments.strip()


def stages(text: str) -> list[Stage]:
    found: list[Stage] = []
    for name, arguments in instructions(text):
        if name == "FROM":
            words = arguments.split()
            found.append(Stage(words[0], words[2] if len(words) > 2 else str(len(found))))
        else:
            found[-1].steps.append((name, arguments))
    return found


def command(arguments: str) -> list[str]:
    """Return what CMD or RUN starts: a JSON list as it stands, anything else by a shell."""
    if arguments.startswith("["):
        words: list[str] = json.loads(arguments)
        return words
    return ["/bin/sh", "-c", arguments]


def health_command(arguments: str) -> list[str]:
    match = _HEALTH_CHECK.fullmatch(arguments)
    if match is None:
        raise ValueError(f"HEALTHCHECK without CMD: {arguments}")
    return command(match["command"])


def variables(arguments: str, known: dict[str, str]) -> dict[str, str]:
    """Return what ENV sets, with ``$NAME`` of earlier ones replaced."""
    pairs = (word.partition("=") for word in shlex.split(arguments))
    return {
        name: re.sub(r"\$\{?(\w+)\}?", lambda match: known.get(match[1], ""), value)
        for name, _, value in pairs
    }
