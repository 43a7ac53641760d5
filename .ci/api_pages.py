"""Pages of the API reference, from the OpenAPI document: one for each tag, one for all objects.

Plain pages are found by the site's search, are read without JavaScript, and ask for no exception from the
content policy, which Redoc does (styles that a script writes).
"""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path
from typing import Any

METHODS = ("get", "post", "put", "patch", "delete")
Json = dict[str, Any]


def write(document: Json, folder: Path) -> int:
    """Write the pages; return how many there are."""
    folder.mkdir(parents=True)
    tags: dict[str, list[tuple[str, str, Json]]] = defaultdict(list)
    for path, operations in document["paths"].items():
        for method in METHODS:
            if method in operations:
                operation = operations[method]
                tags[operation["tags"][0]].append((method, path, operation))
    for tag, found in tags.items():
        (folder / f"{slug(tag)}.md").write_text(_page(tag, found))
    (folder / "objects.md").write_text(_objects(document["components"]["schemas"]))
    (folder / "calls.md").write_text(_calls(document))
    (folder / "index.md").write_text(_index(document, sorted(tags)))
    return len(tags) + 3


def slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def _index(document: Json, tags: list[str]) -> str:
    lines = ["# HTTP API reference", "", document["info"]["description"], ""]
    lines += [
        "Every route stands below `/api/v1`; a running Saga has the same to try at `/api/v1/docs`, and the",
        "OpenAPI document at `/api/v1/schema`.",
        "A token goes into `Authorization: Bearer <token>`; [access](../access.md) says when one is needed.",
        "",
        *(f"- [{tag}]({slug(tag)}.md)" for tag in tags),
        "- [calls to receivers](calls.md)",
        "- [objects](objects.md)",
        "",
        "```{toctree}",
        ":hidden:",
        "",
        *(slug(tag) for tag in tags),
        "calls",
        "objects",
        "```",
    ]
    return "\n".join(lines) + "\n"


def _page(tag: str, operations: list[tuple[str, str, Json]]) -> str:
    lines = [f"# {tag[:1].upper()}{tag[1:]}", ""]
    for method, path, operation in operations:
        lines += _operation(method, path, operation)
    return "\n".join(lines) + "\n"


def _operation(method: str, path: str, operation: Json) -> list[str]:
    lines = [f"## {_prose(operation.get('summary') or operation['operationId'])}", ""]
    lines += [f"`{method.upper()} {path}`", ""]
    if operation.get("description"):
        lines += [_prose(operation["description"]), ""]
    if operation.get("parameters"):
        lines += ["| parameter | in | value | means |", "|---|---|---|---|"]
        for each in operation["parameters"]:
            name = f"`{each['name']}`" + (" (required)" if each.get("required") else "")
            means = _cell(_prose(each.get("description", "")))
            lines.append(f"| {name} | {each['in']} | {_type(each['schema'])} | {means} |")
        lines.append("")
    for media, content in operation.get("requestBody", {}).get("content", {}).items():
        lines += [f"Body, `{media}`: {_type(content.get('schema', {}))}", ""]
    lines += ["| status | answer | means |", "|---|---|---|"]
    for status, answer in operation["responses"].items():
        kinds = [
            f"`{media}`: {_type(content.get('schema', {}))}"
            for media, content in answer.get("content", {}).items()
        ]
        lines.append(f"| {status} | {', '.join(kinds)} | {_cell(_prose(answer['description']))} |")
    return [*lines, ""]


def _calls(document: Json) -> str:
    """Return the page on the calls that Saga makes."""
    parts = document["components"]
    lines = [
        "# Calls to receivers",
        "",
        "What Saga sends to subscriptions and channels, by type.",
        "",
    ]
    lines += ["| type | body | means |", "|---|---|---|"]
    for name, methods in document["webhooks"].items():
        body = methods["post"]["requestBody"]["content"]["application/json"]["schema"]
        lines.append(f"| `{name}` | {_type(body)} | {_cell(_prose(methods['post']['summary']))} |")
    lines += ["", "## Headers", "", "| header | value | means |", "|---|---|---|"]
    for header in parts["parameters"].values():
        means = _cell(_prose(header["description"]))
        lines.append(f"| `{header['name']}` | {_type(header['schema'])} | {means} |")
    lines += ["", "## Answers", "", "| status | means |", "|---|---|"]
    for name, answer in parts["responses"].items():
        lines.append(
            f"| {name.removeprefix('Receiver')} | {_cell(_prose(answer['description']))} |"
        )
    return "\n".join(lines) + "\n"


def _objects(schemas: dict[str, Json]) -> str:
    lines = ["# Objects", "", "What requests and answers consist of.", ""]
    for name, schema in sorted(schemas.items()):
        lines += [f"## {name}", ""]
        if schema.get("description"):
            lines += [_prose(schema["description"]), ""]
        required = set(schema.get("required", []))
        if schema.get("properties"):
            lines += ["| field | value | means |", "|---|---|---|"]
            for field, rule in schema["properties"].items():
                marked = f"`{field}`" + (" (required)" if field in required else "")
                lines.append(
                    f"| {marked} | {_type(rule)} | {_cell(_prose(rule.get('description', '')))} |"
                )
        else:
            lines.append(_type(schema))
        lines.append("")
    return "\n".join(lines)


def _type(schema: Json) -> str:
    """Return what a value may be, as a cell of a table."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](objects.md#{name.lower()})"
    for key, word in (("allOf", " and "), ("oneOf", " or "), ("anyOf", " or ")):
        if key in schema:
            return word.join(_type(each) for each in schema[key])
    kinds = _kinds(schema)
    if kinds == ["array"]:
        return f"list of {_type(schema.get('items', {}))}" + _or_null(schema)
    text = ", ".join(_words(schema)) + _or_null(schema)
    extra = schema.get("additionalProperties")
    return _cell(f"{text} of {_type(extra)}" if isinstance(extra, dict) and extra else text)


def _kinds(schema: Json) -> list[str]:
    """Return the types of a value, without null."""
    kinds = schema.get("type", [])
    return [kind for kind in ([kinds] if isinstance(kinds, str) else kinds) if kind != "null"]


def _or_null(schema: Json) -> str:
    return " or null" if "null" in schema.get("type", "") else ""


def _words(schema: Json) -> list[str]:
    words = [" or ".join(_kinds(schema)) or "any JSON"]
    if "enum" in schema:
        values = [_code(each) for each in schema["enum"] if each is not None]
        words = ["one of " + ", ".join(values)]
    if "const" in schema:
        words = [_code(schema["const"])]
    words += [_code(schema[key]) for key in ("format", "pattern") if key in schema]
    for low, high, unit in (("minimum", "maximum", ""), ("minLength", "maxLength", " characters")):
        if low in schema or high in schema:
            words.append(f"{schema.get(low, 0)} to {schema.get(high, 'any')}{unit}")
    if "default" in schema:
        words.append(f"default {_code(schema['default'])}")
    return words


def _code(value: object) -> str:
    text = str(value)
    fence = "``" if "`" in text else "`"
    return f"{fence}{text}{fence}" if text else "empty"


def _prose(text: str) -> str:
    return text.replace("``", "`").strip()


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
