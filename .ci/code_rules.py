"""The rules of ``check_project.py`` about the code: names, prose, sizes, imports between rooms, states."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

PACKAGES = ("saga_project", "registry", "updates", "webhooks")
FOLDERS = (*PACKAGES, "tests", "bench", "demo", "clients", ".ci")

# Django, Django REST framework and factory_boy look for these names, so every app has its own.
CONVENTIONAL_CLASSES = {"Command", "Media", "Meta", "Migration", "Params"}

PRONOUNS = re.compile(
    r"\b(who|whoever|whose|whom|somebody|someone|nobody|anybody|anyone|everybody|everyone)\b",
    re.IGNORECASE,
)
PRONOUNS_PER_THOUSAND_WORDS = 1

LINES_OF_A_FILE = 320

# Imports between the rooms of a package, one for each ordered pair. Lower a number that has become too high.
ARROWS = {"saga_project": 21, "registry": 53, "updates": 49, "webhooks": 36}

# The modules that may set a column called status or state without the table of transitions.
SETTERS = {
    "registry/idempotency.py": "the status is the HTTP status of a kept answer",
    "saga_project/shared/transitions.py": "it applies the tables",
    "webhooks/inbound/journal.py": "the status is the HTTP status of an answer",
}


def classes(root: Path) -> Iterator[str]:
    """No two classes of the packages have the same name; `Job.Status` is not `Delivery.Status`."""
    places = defaultdict(list)
    for file in python_files(root, PACKAGES):
        for name, line in _class_names(ast.parse(file.read_text())):
            places[name].append(f"{file.relative_to(root)}:{line}")
    for name, found in sorted(places.items()):
        if len(found) > 1:
            yield f"class {name} is defined {len(found)} times: {', '.join(found)}"


def _class_names(node: ast.AST, outer: str = "") -> Iterator[tuple[str, int]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.ClassDef):
            if child.name not in CONVENTIONAL_CLASSES:
                yield outer + child.name, child.lineno
            yield from _class_names(child, f"{outer}{child.name}.")
        else:
            yield from _class_names(child, outer)


def pronouns(root: Path) -> Iterator[str]:
    """Docstrings and comments of a folder hold at most one word for a person per 1,000 words."""
    for folder in FOLDERS:
        words, found = 0, []
        for file in python_files(root, [folder]):
            for line, prose in _prose(file.read_text()):
                words += len(prose.split())
                found += [
                    f"{file.relative_to(root)}:{line}: {word}" for word in PRONOUNS.findall(prose)
                ]
        if len(found) > words * PRONOUNS_PER_THOUSAND_WORDS / 1000:
            rate = 1000 * len(found) / words
            yield f"{folder}: {rate:.1f} of 1,000 words are pronouns for persons; name the thing"
            yield from found


def _prose(source: str) -> Iterator[tuple[int, str]]:
    """Return line and text of each comment and docstring."""
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string
    for node in ast.walk(ast.parse(source)):
        documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
        if isinstance(node, documented) and (text := ast.get_docstring(node)):
            yield node.body[0].lineno, text


def sizes(root: Path) -> Iterator[str]:
    """No file is longer than ``LINES_OF_A_FILE``, except migrations and tests."""
    folders = [folder for folder in FOLDERS if folder != "tests"]
    for file in python_files(root, folders):
        lines = len(file.read_text().splitlines())
        if lines > LINES_OF_A_FILE and "migrations" not in file.parts:
            yield f"{file.relative_to(root)}: {lines} lines, {LINES_OF_A_FILE} allowed; split it by concept"


# --- Imports between rooms ------------------------------------------------------------------------


def rooms(root: Path) -> Iterator[str]:
    """The rooms of a package import each other along at most ``ARROWS`` arrows."""
    for package, allowed in ARROWS.items():
        found = _arrows(root, package)
        if len(found) > allowed:
            listed = ", ".join(f"{source} -> {target}" for source, target in sorted(found))
            yield f"{package}: {len(found)} imports between rooms, {allowed} allowed: {listed}"


def _arrows(root: Path, package: str) -> set[tuple[str, str]]:
    """Return each pair of modules directly below the package of which one imports the other."""
    known = {file.stem for file in (root / package).glob("*") if file.suffix in {"", ".py"}}
    arrows = set()
    for file in python_files(root, [package]):
        source = file.relative_to(root / package).parts[0].removesuffix(".py")
        for name in _imported_names(ast.parse(file.read_text())):
            parts = name.split(".")
            if parts[0] == package and len(parts) > 1 and parts[1] in known - {source}:
                arrows.add((source, parts[1]))
    return {(source, target) for source, target in arrows if source != "__init__"}


def _imported_names(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


# --- States ---------------------------------------------------------------------------------------


def states(root: Path) -> Iterator[str]:
    """A state changes in one place: columns called status or state are set by shared/transitions.py."""
    for file in python_files(root, PACKAGES):
        place = str(file.relative_to(root))
        if place not in SETTERS and "migrations" not in file.parts:
            for line in _state_setters(ast.parse(file.read_text())):
                yield f"{place}:{line}: sets a state; call saga_project.shared.transitions"


def _state_setters(tree: ast.Module) -> Iterator[int]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            is_update = node.func.attr in {"update", "aupdate"}
            if is_update and any(each.arg in {"status", "state"} for each in node.keywords):
                yield node.lineno
        elif isinstance(node, ast.Assign | ast.AugAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if any(_is_state(each) for target in targets for each in ast.walk(target)):
                yield node.lineno


def _is_state(node: ast.AST) -> bool:
    """Return whether the node assigns ``status`` or ``state`` of any object but ``self``."""
    if not isinstance(node, ast.Attribute) or node.attr not in {"status", "state"}:
        return False
    return isinstance(node.ctx, ast.Store) and not (
        isinstance(node.value, ast.Name) and node.value.id == "self"
    )


def python_files(root: Path, folders: Iterable[str]) -> Iterator[Path]:
    """Return the Python files below these folders, in order."""
    for folder in folders:
        yield from sorted((root / folder).rglob("*.py"))


RULES = (classes, pronouns, sizes, rooms, states)
