"""The document as JSON, YAML or TOML."""

from __future__ import annotations

import datetime as dt
import math
import re
import tomllib
from collections.abc import Mapping
from typing import IO, Any

import orjson
import yaml
from rest_framework import parsers

from saga_project.shared import api

YAML = "application/yaml"


class InvalidMarkup(api.InvalidJson):
    error = "Invalid document"


class PlainLoader(yaml.SafeLoader):
    """YAML of plain values: no aliases, which could grow without bound, and no key twice."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise InvalidMarkup("Aliases (*name) are not accepted: write the value out.")
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        seen: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise InvalidMarkup("A key of an object is a text.")
            if key.value in seen:
                raise InvalidMarkup(f"The key '{key.value}' stands twice in one object.")
            seen.add(key.value)
        return super().construct_mapping(node, deep=deep)

    def construct_yaml_float(self, node: Any) -> float:
        return _finite(super().construct_yaml_float(node), node.value)


def _finite(number: float, text: str) -> float:
    if not math.isfinite(number):
        raise InvalidMarkup(f"'{text}' is no number of JSON; write a finite one.")
    return number


def _parse_float(text: str) -> float:
    return _finite(float(text), text)


def _is_plain(tag: str) -> bool:
    return not tag.endswith((":timestamp", ":int"))


# Times and dates stay texts, as in JSON, and 22:00 is no number of minutes.
PlainLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in known if _is_plain(tag)]
    for first, known in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
PlainLoader.add_constructor("tag:yaml.org,2002:float", PlainLoader.construct_yaml_float)
PlainLoader.add_implicit_resolver(
    "tag:yaml.org,2002:int", re.compile(r"-?(?:0|[1-9][0-9]*)$"), list("-0123456789")
)


def load_yaml(raw: bytes) -> dict[str, Any]:
    """Return the object in ``raw``, held to the rules of JSON bodies. Raises InvalidMarkup.

    Several documents, as the files of a directory, are one: their lists are joined.
    """
    try:
        parts = list(yaml.load_all(raw, Loader=PlainLoader))
        return _as_json(_joined([part for part in parts if part is not None]))
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as exc:
        raise InvalidMarkup(f"This is no YAML of plain values: {exc}"[:500]) from exc


def _joined(parts: list[Any]) -> Any:
    if len(parts) == 1:
        return parts[0]
    joined: dict[str, Any] = {}
    for part in parts:
        if not isinstance(part, dict):
            raise InvalidMarkup("Each of several documents must be an object.")
        for key, value in part.items():
            if isinstance(value, list) and isinstance(joined.get(key, []), list):
                joined[key] = [*joined.get(key, []), *value]
            elif joined.setdefault(key, value) != value:
                raise InvalidMarkup(f"The documents give different values for '{key}'.")
    return joined


def load_toml(raw: bytes) -> dict[str, Any]:
    """Return the object in ``raw``, held to the rules of JSON bodies. Raises InvalidMarkup."""
    try:
        return _as_json(tomllib.loads(raw.decode(), parse_float=_parse_float))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as exc:
        raise InvalidMarkup(f"This is no TOML: {exc}"[:500]) from exc


def _as_json(document: Any) -> dict[str, Any]:
    """Return the object as the JSON parser would: what JSON refuses is refused by the same rules."""
    try:
        raw = orjson.dumps(document, default=_text, option=orjson.OPT_PASSTHROUGH_DATETIME)
    except TypeError as exc:
        raise InvalidMarkup(f"This holds a value that is none of JSON: {exc}") from exc
    return api.read_json_object(raw)


def _text(value: Any) -> str:
    if isinstance(value, dt.datetime | dt.date | dt.time):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} {value!r}")


def dump_yaml(document: Mapping[str, Any]) -> bytes:
    text: str = yaml.safe_dump(dict(document), sort_keys=False, allow_unicode=True)
    return text.encode()


class YAMLParser(parsers.BaseParser):
    media_type = YAML

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Any = None
    ) -> dict[str, Any]:
        return load_yaml(_read(stream))


class TOMLParser(parsers.BaseParser):
    media_type = "application/toml"

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Any = None
    ) -> dict[str, Any]:
        return load_toml(_read(stream))


def _read(stream: IO[Any]) -> bytes:
    raw: bytes = stream.read(api.MAX_BODY_BYTES + 1)
    if len(raw) > api.MAX_BODY_BYTES:
        raise api.BodyTooLarge(f"A request body has at most {api.MAX_BODY_BYTES} bytes.")
    return raw
