"""``make docs``: what stands between the pages of docs/ and the site that Saga serves."""

from __future__ import annotations

import importlib.util
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from saga_project.web import openapi
from saga_project.web.openapi import completion

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = ROOT / ".ci" / "documentation.py"


@pytest.fixture(scope="module")
def building() -> Iterator[Any]:
    spec = importlib.util.spec_from_file_location("documentation", PROGRAM)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(PROGRAM.parent)
        spec.loader.exec_module(module)
        yield module


def test_every_page_stands_once_in_the_navigation(building: Any) -> None:
    sections = building.navigation((ROOT / "docs" / "index.md").read_text())

    listed = [page for pages in sections.values() for page in pages]
    assert list(sections) == [
        "Tutorial",
        "How-to guides",
        "Reference",
        "Explanation",
        "Glossary",
    ]
    assert sorted([*listed, "index"]) == sorted(page.stem for page in (ROOT / "docs").glob("*.md"))


def test_generated_pages_follow_those_of_their_section(building: Any) -> None:
    index = "# Saga\n\n## Reference\n\n- [Events](events.md): all\n\n## Glossary\n\n- [G](glossary.md)\n"

    written = building.with_tables_of_contents(index, {"Reference": ["api/index"]})

    assert ":caption: Reference\n\nevents\napi/index\n```" in written
    assert written.startswith(index.rstrip())


def test_links_out_of_the_folder_become_the_names_of_files(building: Any) -> None:
    text = "See [the action](../deploy/ci/action.yml) and [events](events.md)."

    assert building.without_links_out(text) == (
        "See the action (`deploy/ci/action.yml` in the repository) and [events](events.md)."
    )


def test_inline_scripts_and_styles_become_files(building: Any) -> None:
    files: dict[str, str] = {}
    page = '<style> a {} </style><script>\n  f()\n</script><svg style="display: none;"></svg>'

    html = building.externalised(page, up="../", files=files)

    building.check(html, "page.html")
    assert sorted(files.values()) == ["a {}", "f()"]
    assert all(f'"../{name}"' in html for name in files)


@pytest.mark.parametrize(
    "html",
    [
        '<p style="color: red">',
        '<a onclick="f()">',
        '<a href="javascript:f()">',
        "<script>f()</script>",
        '<script src="https://cdn.example/a.js"></script>',
        '<link rel="stylesheet" href="//fonts.example/a.css">',
        '<img alt="" src="http://badges.example/a.svg">',
    ],
)
def test_page_that_breaks_the_content_policy_or_calls_another_host_fails(
    building: Any, html: str
) -> None:
    with pytest.raises(building.BuildError):
        building.check(html, "page.html")


def test_the_reference_shows_every_operation_and_object(building: Any, tmp_path: Path) -> None:
    document = json.loads(openapi.document("required"))

    building.api_pages.write(document, tmp_path / "api")

    pages = {page.stem: page.read_text() for page in (tmp_path / "api").glob("*.md")}
    everything = "\n".join(pages.values())
    for path, operations in document["paths"].items():
        for method in operations:
            assert f"`{method.upper()} {path}`" in everything
    linked = set(re.findall(r"objects\.md#([a-z0-9-]+)", everything))
    headings = {line[3:].lower() for line in pages["objects"].splitlines() if line[:3] == "## "}
    assert linked <= headings
    assert headings == {name.lower() for name in document["components"]["schemas"]}
    assert all(f"| `{name}` |" in pages["calls"] for name in document["webhooks"])


def test_operations_do_not_repeat_the_words_of_base_classes() -> None:
    document = openapi.document("required").decode()

    assert [words for words in completion.OF_BASES if json.dumps(words)[1:-1] in document] == []
