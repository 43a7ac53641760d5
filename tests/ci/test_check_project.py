"""The rules of `.ci/check_project.py`, each on a small project that breaks it and on one that does not."""

from __future__ import annotations

import importlib.util
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / ".ci" / "check_project.py"


@pytest.fixture(scope="module")
def rules() -> Iterator[Any]:
    spec = importlib.util.spec_from_file_location("check_project", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(SCRIPT.parent)
        spec.loader.exec_module(module)
        yield module


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with one package, one document, one make target and one management command."""
    _write(tmp_path, "registry/names.py", '"""Rules for names."""\n\nimport celery\n')
    _write(tmp_path, "registry/management/commands/create_token.py", "")
    _write(tmp_path, "Makefile", "test: stamp ## Run the tests\n\tpytest\n")
    _write(tmp_path, "README.md", "# Saga\n")
    _write(tmp_path, "pyproject.toml", '[project]\nname = "x"\ndependencies = ["celery>=5"]\n')
    return tmp_path


def _write(root: Path, path: str, text: str) -> None:
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def _commit(root: Path, subject: str) -> None:
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    subprocess.run(["git", "-C", str(root), "add", "--all"], check=True)
    command = [
        "git",
        "-C",
        str(root),
        *identity,
        "commit",
        "--quiet",
        "--allow-empty",
        "-m",
        subject,
    ]
    subprocess.run(command, check=True)


# --- Dependencies ---------------------------------------------------------------------------------


def test_dependencies_that_are_imported_pass(rules: Any, project: Path) -> None:
    assert list(rules.dependencies(project)) == []


def test_dependency_that_settings_name_in_a_string_passes(rules: Any, project: Path) -> None:
    _write(project, "registry/names.py", 'APPS = ["celery.apps"]\n')

    assert list(rules.dependencies(project)) == []


def test_dependency_without_import_is_reported(rules: Any, project: Path) -> None:
    _write(project, "registry/names.py", "")

    [problem] = rules.dependencies(project)

    assert problem.endswith("no package imports the dependency celery")


def test_import_without_dependency_is_reported(rules: Any, project: Path) -> None:
    _write(project, "registry/names.py", "import celery\nfrom psutil import Process\n")

    [problem] = rules.dependencies(project)

    assert "psutil is imported" in problem


# --- Documents ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "`registry/names.py`, `registry/`, `names.py` and [names](registry/names.py#rules)",
        "`payment/1.2` and `/api/v1/services` are no paths of the project",
        "```\ncat registry/gone.py\n```",
    ],
)
def test_paths_that_exist_pass(rules: Any, project: Path, text: str) -> None:
    _write(project, "README.md", text)

    assert list(rules.paths(project)) == []


@pytest.mark.parametrize(
    "text", ["`registry/gone.py`", "`registry/gone/`", "`gone.py`", "[guide](docs/gone.md)"]
)
def test_path_that_does_not_exist_is_reported(rules: Any, project: Path, text: str) -> None:
    _write(project, "docs/guide.md", "See below.")
    _write(project, "README.md", text)

    [problem] = rules.paths(project)

    assert problem.startswith("README.md: ")
    assert "gone" in problem


@pytest.mark.parametrize(
    "text",
    [
        "Run `make test` or `manage.py migrate`.",
        "```\nmake test ARGS='-k name'  # then make coffee\npython manage.py create_token ci\n```",
        "They make anything possible.",
    ],
)
def test_commands_that_exist_pass(rules: Any, project: Path, text: str) -> None:
    _write(project, "README.md", text)

    assert list(rules.commands(project)) == []


@pytest.mark.parametrize(
    "text",
    [
        "`make coffee`",
        "```\nmake test coffee\n```",
        "`python manage.py coffee`",
        "`python -m bench.coffee`",
    ],
)
def test_command_that_does_not_exist_is_reported(rules: Any, project: Path, text: str) -> None:
    _write(project, "README.md", text)

    [problem] = rules.commands(project)

    assert "coffee" in problem


# --- Code -----------------------------------------------------------------------------------------


def test_class_name_in_two_modules_is_reported(rules: Any, project: Path) -> None:
    _write(project, "registry/a.py", "class Answer:\n    class Meta: ...\n")
    _write(project, "updates/b.py", "class Answer:\n    class Meta: ...\n")

    [problem] = rules.code_rules.classes(project)

    assert problem == "class Answer is defined 2 times: registry/a.py:1, updates/b.py:1"


def test_class_inside_two_models_is_not_a_duplicate(rules: Any, project: Path) -> None:
    _write(project, "registry/a.py", "class Job:\n    class Status: ...\n")
    _write(project, "updates/b.py", "class Delivery:\n    class Status: ...\n")

    assert list(rules.code_rules.classes(project)) == []


def test_pronouns_in_docstrings_and_comments_are_reported(rules: Any, project: Path) -> None:
    source = '"""Tell whoever asks."""\n\nNAME = "who"  # nobody reads this\n'
    _write(project, "registry/names.py", source)

    rate, *found = rules.code_rules.pronouns(project)

    assert rate.startswith("registry: ")
    assert sorted(found) == ["registry/names.py:1: whoever", "registry/names.py:3: nobody"]


def test_one_pronoun_in_a_thousand_words_passes(rules: Any, project: Path) -> None:
    _write(project, "registry/names.py", "# who" + " word" * 999 + "\n")

    assert list(rules.code_rules.pronouns(project)) == []


def test_file_that_is_too_long_is_reported_except_migrations(rules: Any, project: Path) -> None:
    _write(project, "registry/models/service.py", "x = 1\n" * 321)
    _write(project, "registry/models/event.py", "x = 1\n" * 320)
    _write(project, "registry/migrations/0001_initial.py", "x = 1\n" * 321)

    [problem] = rules.code_rules.sizes(project)

    assert problem.startswith("registry/models/service.py: 321 lines")


def test_arrows_between_rooms_are_counted_once_for_each_direction(
    rules: Any, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _write(project, "registry/api/views.py", "from registry import names\nimport registry.names\n")
    _write(project, "registry/api/urls.py", "from registry.names import NAME\nimport celery\n")
    _write(project, "registry/presence/__init__.py", "from registry.presence import keys\n")

    monkeypatch.setattr(rules.code_rules, "ARROWS", {"registry": 1})
    assert list(rules.code_rules.rooms(project)) == []
    monkeypatch.setattr(rules.code_rules, "ARROWS", {"registry": 0})
    [problem] = rules.code_rules.rooms(project)

    assert problem == "registry: 1 imports between rooms, 0 allowed: api -> names"


@pytest.mark.parametrize(
    "statement",
    [
        "rows.filter(pk=1).update(status=DEAD, reason='')",
        "Row.objects.update(state='live')",
        "row.status = DEAD",
        "row.state, row.gone_at = LIVE, None",
    ],
)
def test_state_that_is_set_without_the_table_is_reported(
    rules: Any, project: Path, statement: str
) -> None:
    _write(project, "registry/rows.py", f"x = 1\n{statement}\n")

    [problem] = rules.code_rules.states(project)

    assert problem.startswith("registry/rows.py:2: sets a state")


@pytest.mark.parametrize(
    "statement",
    [
        "transitions.move(row, DEAD, reason='')",
        "rows.update(reason='')",
        "self.status = 404",
        "seconds[row.state] = 1",
        "status = row.status",
    ],
)
def test_statement_that_sets_no_state_passes(rules: Any, project: Path, statement: str) -> None:
    _write(project, "registry/rows.py", f"{statement}\n")

    assert list(rules.code_rules.states(project)) == []


# --- Commits --------------------------------------------------------------------------------------


def test_subjects_are_checked_after_the_commit_that_begins_the_rule(
    rules: Any, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    subprocess.run(["git", "init", "--quiet", project], check=True)
    _commit(project, "Let there be names")
    monkeypatch.setattr(rules, "SUBJECTS_AFTER", _head(project))
    _commit(project, "rollouts: fence workers that resume after a freeze")
    _commit(project, "fast path: rename the setting")
    _commit(project, "Let a worker sleep")
    _commit(project, "rollouts: " + "x" * 63)

    too_long, unprefixed = rules.subjects(project)

    assert "73 characters" in too_long
    assert unprefixed.endswith("Let a worker sleep")


def _head(root: Path) -> str:
    command = ["git", "-C", str(root), "rev-parse", "HEAD"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def test_history_without_the_beginning_of_the_rule_has_no_subjects(
    rules: Any, project: Path
) -> None:
    subprocess.run(["git", "init", "--quiet", project], check=True)
    _commit(project, "Import everything")

    assert list(rules.subjects(project)) == []


def test_project_without_git_history_has_no_subjects(rules: Any, project: Path) -> None:
    assert list(rules.subjects(project)) == []


# --- The command ----------------------------------------------------------------------------------


def test_unknown_rule_is_rejected(rules: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert rules.main(["coffee"]) == 2
    assert "No rule coffee" in capsys.readouterr().out


def test_named_rule_alone_is_applied(
    rules: Any, project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(rules, "ROOT", project)
    _write(project, "README.md", "`gone.py`")

    assert rules.main(["commands"]) == 0
    assert rules.main(["paths", "commands"]) == 1
    assert "no file is called gone.py" in capsys.readouterr().out
