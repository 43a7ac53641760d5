"""How a kind of source is set up: its location, its base URL, its options, and what is wrong with them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from saga_project.shared import http_client, versions
from updates.errors import SourceUnavailable
from updates.releases.sources.exchange import Query

MAX_TEXT = 255


def any_text(value: Any) -> str:
    """Return what is wrong with an option that is text; empty where nothing is."""
    if not isinstance(value, str) or len(value) > MAX_TEXT or "\x00" in value:
        return f"is text of at most {MAX_TEXT} characters, not {_shown(value)}"
    return ""


def a_glob(value: Any) -> str:
    if fault := any_text(value):
        return fault
    if not value or "/" in value:
        return f"is a glob for a file's name, such as *.tar.gz, not {_shown(value)}"
    is_open = "[" in value and "]" not in value.partition("[")[2]
    return f"has an unclosed bracket: {value}" if is_open else ""


def a_pattern(value: Any) -> str:
    if fault := any_text(value):
        return fault
    try:
        versions.compile_pattern(value)
    except versions.PatternError as exc:
        return f"is wrong: {exc}"
    return ""


def a_version_pattern(value: Any) -> str:
    fault = a_pattern(value)
    if not fault and not versions.compile_pattern(value).groupindex:
        return f"names no group such as (?<version>[0-9.]+): {value}"
    return fault


def a_scheme(value: Any) -> str:
    is_one = isinstance(value, str) and value in versions.NAMES
    return "" if is_one else f"is one of {', '.join(versions.NAMES)}, not {_shown(value)}"


def a_url_template(value: Any) -> str:
    if fault := any_text(value):
        return fault
    try:
        http_client.check_url(value.replace("{version}", "1").replace("{tag}", "1"))
    except http_client.InvalidUrl:
        return f"is a URL in which {{version}} and {{tag}} are filled in, not {_shown(value)}"
    return ""


def pointers(value: Any) -> str:
    known = ("version", "list", "url", "checksum", "size", "published_at", "notes", "channel")
    if not isinstance(value, dict) or not value.get("version"):
        return 'is an object that names at least the version, such as {"version": "/latest"}'
    for name, pointer in value.items():
        if name not in known:
            return f"has no pointer {name!r}; there are {', '.join(known)}"
        if not isinstance(pointer, str) or (pointer and not pointer.startswith("/")):
            return f"has {_shown(pointer)} for {name!r}; a pointer is text such as /latest/version"
    return ""


def _shown(value: Any) -> str:
    return repr(value)[:80]


Check = Callable[[Any], str]
#: Every option of every kind; a name means the same everywhere.
CHECKS: Mapping[str, Check] = {
    "asset": a_glob,
    "tag_prefix": any_text,
    "tag_pattern": a_pattern,
    "key_prefix": any_text,
    "key_pattern": a_version_pattern,
    "scheme": a_scheme,
    "version_pattern": a_pattern,
    "pointers": pointers,
    "extension": any_text,
    "classifier": any_text,
    "platform": any_text,
    "artifact_url": a_url_template,
}
COMMON = ("scheme", "version_pattern")
TAGS = ("tag_prefix", "tag_pattern")


@dataclass(frozen=True, kw_only=True)
class Shape:
    """``location`` matches a location, which ``reads_as`` describes; without a pattern it is a URL.

    ``server`` says what the base URL has to name; empty where the public server is the default.
    """

    reads_as: str
    location: re.Pattern[str] | None = None
    server: str = ""
    options: tuple[str, ...] = ()
    needed: tuple[str, ...] = ()
    max_length: int = field(default=2048)

    def check(self, query: Query) -> None:
        """Raise SourceUnavailable where the location or the base URL cannot be asked."""
        fault = self.location_fault(query.location) or self.server_fault(query.base_url)
        if fault:
            raise SourceUnavailable(fault)

    def location_fault(self, location: str) -> str:
        if self.location is None:
            return _url_fault(location, f"The location must be {self.reads_as}.")
        fits = len(location) <= self.max_length and self.location.fullmatch(location)
        return "" if fits else f"The location must be {self.reads_as}."

    def server_fault(self, base_url: str) -> str:
        if self.server and not base_url:
            return f"The base URL must name {self.server}."
        return _url_fault(base_url, "The base URL must be a URL.") if base_url else ""

    def option_fault(self, options: Any) -> str:
        """Return what is wrong with the options; an unknown one is, too."""
        if not isinstance(options, dict):
            return "Options are a JSON object."
        known = (*self.options, *COMMON)
        for name, value in options.items():
            if name not in known:
                return f"This kind has no option {name!r}; there are {', '.join(known)}."
            if fault := CHECKS[name](value):
                return f"The option {name!r} {fault}."
        if missing := [name for name in self.needed if name not in options]:
            return f"This kind needs the option {missing[0]!r}."
        if options.get("scheme") == "regex" and "version_pattern" not in options:
            return "The scheme regex needs the option 'version_pattern'."
        return ""


def _url_fault(text: str, sentence: str) -> str:
    try:
        http_client.check_url(text)
    except http_client.InvalidUrl as exc:
        return f"{sentence} {exc.message}"
    return ""
