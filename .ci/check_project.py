"""Check what the documents, the dependencies, the code and the commits of this project promise.

``python .ci/check_project.py`` applies every rule, ``python .ci/check_project.py paths commands`` only
those. Each problem is one line; the exit status is 1 if there is any. `make check` runs it.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path

import code_rules
from django.core import management

ROOT = Path(__file__).resolve().parents[1]

# A program that the project starts or that another library loads without an import in Saga.
LOADED_BY_OTHERS = {
    "httptools": "uvicorn parses requests with it",
    "uvloop": "uvicorn and asyncio.run take their event loop from it",
    "saga-client": "the entry point of the command `saga`",
    "tomli": "the standard library has it as tomllib since Python 3.11",
}

# What users install on their side: a distribution of its own.
CLIENT = "clients/python"

SUBJECT = re.compile(r"[a-z][a-z0-9_.\- ]*(, [a-z][a-z0-9_.\- ]*)*: \S.*")
SUBJECT_LENGTH = 72
# The last commit before the rule was applied.
SUBJECTS_AFTER = "0c0621334e73f4e92843943db3945cf96031aeda"

_CODE_SPAN = re.compile(r"`([^`\n]+)`")
_LINK = re.compile(r"\]\(([^)#\s]+)[^)]*\)")
_FENCE = re.compile(r"^( *)```.*?^ *```", re.DOTALL | re.MULTILINE)


# --- Dependencies ---------------------------------------------------------------------------------


def dependencies(root: Path) -> Iterator[str]:
    """Every dependency is used by a package, and every library that a package uses is one."""
    yield from _dependencies_of(root, packages=code_rules.PACKAGES)
    if (root / CLIENT).exists():
        for problem in _dependencies_of(root / CLIENT, packages=("src/saga_client",)):
            yield f"{CLIENT}/{problem}"


def _dependencies_of(folder: Path, *, packages: tuple[str, ...]) -> Iterator[str]:
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    required = {_normal(each) for each in project["dependencies"]}
    optional = {
        _normal(each)
        for extra in project.get("optional-dependencies", {}).values()
        for each in extra
    }
    owners = metadata.packages_distributions()
    imported, named = _modules_used(folder, packages)

    used = {_normal(owner) for module in imported | named for owner in owners.get(module, ())}
    for name in sorted(required - used - set(LOADED_BY_OTHERS)):
        yield f"pyproject.toml: no package imports the dependency {name}"
    for module in sorted(imported & set(owners)):
        if not {_normal(owner) for owner in owners[module]} & (required | optional):
            yield f"pyproject.toml: {module} is imported, but {owners[module][0]} is no dependency"


def _normal(requirement: str) -> str:
    name = re.split(r"[^A-Za-z0-9._-]", requirement, maxsplit=1)[0]
    return re.sub(r"[-_.]+", "-", name).lower()


def _modules_used(root: Path, packages: tuple[str, ...]) -> tuple[set[str], set[str]]:
    """Return the top-level modules that are imported, and those that settings name in strings."""
    imported, named = set(), set()
    own = {Path(package).name for package in packages}
    for file in code_rules.python_files(root, packages):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                imported |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                imported.add(node.module.partition(".")[0])
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                named.add(re.split(r"[.:]", node.value)[0])
    return imported - set(sys.stdlib_module_names) - own, named


# --- Documents ------------------------------------------------------------------------------------


def paths(root: Path) -> Iterator[str]:
    """Every path that a document names exists."""
    tracked = _tracked(root)
    names = {Path(path).name for path in tracked}
    tops = {path.partition("/")[0] for path in tracked if "/" in path}
    existing = tracked | {str(parent) for path in tracked for parent in Path(path).parents}
    for document in _documents(root):
        text = document.read_text()
        place = document.relative_to(root)
        for link in _LINK.findall(text):
            if "://" not in link and not (document.parent / link).exists():
                yield f"{place}: the link {link} leads nowhere"
        for span in _CODE_SPAN.findall(_FENCE.sub("", text)):
            if re.fullmatch(r"[\w.\-]+/[\w.\-/]*", span) and span.partition("/")[0] in tops:
                if span.rstrip("/") not in existing:
                    yield f"{place}: there is no {span}"
            elif re.fullmatch(r"[\w\-]+\.(py|md|sh|css|js)", span) and span not in names:
                yield f"{place}: no file is called {span}"


def commands(root: Path) -> Iterator[str]:
    """Every make target, management command and module that a document shows exists."""
    makefile = (root / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z][\w./-]*):", makefile, re.MULTILINE))
    known = set(management.find_commands(str(Path(management.__file__).parent)))
    known |= {file.stem for file in root.glob("*/**/management/commands/*.py")}
    for document in _documents(root):
        place = document.relative_to(root)
        for line in _command_lines(document.read_text()):
            for target in _make_targets(line):
                if target not in targets:
                    yield f"{place}: the Makefile has no target {target}"
            for name in re.findall(r"manage\.py ([a-z_]+)", line):
                if name not in known:
                    yield f"{place}: manage.py has no command {name}"
            for module in re.findall(
                r"python3? -m ((?:bench|demo|saga_project|tests)[\w.]*)", line
            ):
                path = root / module.replace(".", "/")
                if not path.with_suffix(".py").exists() and not (path / "__main__.py").exists():
                    yield f"{place}: python -m {module} starts nothing"


def _make_targets(line: str) -> Iterator[str]:
    for words in re.findall(r"(?:^|[;&|(])\s*make((?: +[a-z][\w./-]*(?![\w=]))+)", line):
        yield from words.split()


def _command_lines(text: str) -> Iterator[str]:
    for block in _FENCE.finditer(text):
        yield from (line.partition(" #")[0] for line in block.group().splitlines())
    yield from _CODE_SPAN.findall(_FENCE.sub("", text))


def _documents(root: Path) -> list[Path]:
    named = [
        root / name for name in ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md")
    ]
    return [*(file for file in named if file.exists()), *sorted(root.glob("docs/**/*.md"))]


# --- Commits --------------------------------------------------------------------------------------


def subjects(root: Path) -> Iterator[str]:
    """Each commit after ``SUBJECTS_AFTER`` has a subject `area: summary` of 72 characters."""
    if not (root / ".git").exists() or _git(root, "rev-parse", "--is-shallow-repository") == "true":
        return  # an archive or a shallow clone does not hold the history
    is_ancestor = ["git", "-C", str(root), "merge-base", "--is-ancestor", SUBJECTS_AFTER, "HEAD"]
    if subprocess.run(is_ancestor, check=False, capture_output=True).returncode:
        return  # another history, such as one of a single import
    log = _git(root, "log", "--no-merges", "--format=%h %s", f"{SUBJECTS_AFTER}..HEAD")
    for line in log.splitlines():
        commit, _, subject = line.partition(" ")
        if len(subject) > SUBJECT_LENGTH:
            yield f"commit {commit}: {len(subject)} characters, {SUBJECT_LENGTH} allowed: {subject}"
        if not SUBJECT.fullmatch(subject):
            yield f"commit {commit}: the subject must read `area: summary`: {subject}"


def _tracked(root: Path) -> set[str]:
    if (root / ".git").exists():
        listed = _git(root, "ls-files", "--cached", "--others", "--exclude-standard").splitlines()
        return {path for path in listed if (root / path).exists()}
    return {str(file.relative_to(root)) for file in root.rglob("*") if file.is_file()}


def _git(root: Path, *arguments: str) -> str:
    command = ["git", "-C", str(root), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


# --- The command ----------------------------------------------------------------------------------

RULES: dict[str, Callable[[Path], Iterator[str]]] = {
    rule.__name__: rule for rule in (dependencies, paths, commands, *code_rules.RULES, subjects)
}


def main(names: list[str]) -> int:
    """Apply the rules of these names, or all, and return the exit status."""
    if unknown := set(names) - set(RULES):
        print(f"No rule {', '.join(sorted(unknown))}; there are {', '.join(RULES)}.")
        return 2
    problems = [problem for name in names or RULES for problem in RULES[name](ROOT)]
    print("\n".join(problems) if problems else "The project keeps its own rules.")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
