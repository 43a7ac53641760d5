"""Build the documentation site: ``make docs``.

The pages are those of ``docs/``, the API from the OpenAPI document, and the client library from its
docstrings. ``docs/index.md`` is the navigation. Any warning of Sphinx, such as of a link that leads nowhere,
fails the build. Pages hold no inline script or style, as Saga's content policy demands, and load nothing
from another host. The same commit gives the same bytes.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import api_pages

ROOT = Path(__file__).resolve().parents[1]
WORK = ROOT / "var" / "docs"
#: Where web processes look for it, in a checkout as in a wheel.
SITE = ROOT / "saga_project" / "documentation"

_LINK_OUT = re.compile(r"\[([^\]]+)\]\(\.\./([^)#]+)[^)]*\)")
_ENTRY = re.compile(r"^- \[[^\]]+\]\(([\w-]+)\.md\)", re.MULTILINE)
_INLINE = re.compile(r"<(script|style)>\s*(.*?)\s*</\1>", re.DOTALL)
_LOADED = re.compile(
    r"<(?:script|img|iframe|source|video|audio|embed|object)\b[^>]*\b(?:src|data)=\"(?:https?:)?//[^\"]*\""
    r"|<link\b[^>]*\bhref=\"(?:https?:)?//[^\"]*\""
)
#: Of the icons of the theme; both attributes say the same to a browser.
_ATTRIBUTES = {'style="display: none;"': 'display="none"', 'style="opacity: 50%"': 'opacity="0.5"'}


class BuildError(Exception):
    """The site would break a promise; the message says which."""


def navigation(index: str) -> dict[str, list[str]]:
    """Return the pages below each heading of docs/index.md."""
    sections = re.split(r"^## ", index, flags=re.MULTILINE)[1:]
    return {section.partition("\n")[0].strip(): _ENTRY.findall(section) for section in sections}


def with_tables_of_contents(index: str, extra: dict[str, list[str]]) -> str:
    """Return the index with what Sphinx takes for navigation, hidden; ``extra`` pages are generated ones."""
    parts = [index.rstrip()]
    for caption, pages in navigation(index).items():
        listed = "\n".join([*pages, *extra.get(caption, [])])
        parts.append(f"```{{toctree}}\n:hidden:\n:caption: {caption}\n\n{listed}\n```")
    return "\n\n".join(parts) + "\n"


def without_links_out(text: str) -> str:
    """Return a page that names files outside of docs/ instead of linking them."""
    return _LINK_OUT.sub(r"\1 (`\2` in the repository)", text)


def externalised(html: str, *, up: str, files: dict[str, str]) -> str:
    """Return a page whose inline scripts and styles are ``files``; ``up`` leads to the root of the site."""

    def replace(match: re.Match[str]) -> str:
        kind, content = match.groups()
        suffix = "js" if kind == "script" else "css"
        name = f"_static/{hashlib.sha256(content.encode()).hexdigest()[:12]}.{suffix}"
        files[name] = content
        if kind == "script":
            return f'<script src="{up}{name}"></script>'
        return f'<link rel="stylesheet" href="{up}{name}">'

    for inline, attribute in _ATTRIBUTES.items():
        html = html.replace(inline, attribute)
    return _INLINE.sub(replace, html)


def check(html: str, page: str) -> None:
    """Raise BuildError where a page breaks the content policy, or loads something from another host."""
    if found := re.search(r"<[^>]*\s(style|on[a-z]+)=\"|<script>|<style|javascript:", html):
        raise BuildError(f"{page} has an inline script or style: {found.group()[-120:]}")
    if found := _LOADED.search(html):
        raise BuildError(f"{page} loads something from another host: {found.group()}")


def write_sources(folder: Path, document: bytes) -> None:
    """Write all pages as Sphinx reads them."""
    shutil.copytree(ROOT / "docs", folder)
    for page in folder.glob("*.md"):
        page.write_text(without_links_out(page.read_text()))
    reference = api_pages.write(json.loads(document), folder / "api")
    (folder / "client-reference.rst").write_text(_client_page())
    index = folder / "index.md"
    extra = {"Reference": ["api/index", "client-reference"]}
    index.write_text(with_tables_of_contents(index.read_text(), extra))
    print(f"{len(list(folder.glob('*.md')))} pages, {reference} of the API", flush=True)


def _client_page() -> str:
    """Return the page of the client library: each public name, in the order of its import list."""
    sys.path.insert(0, str(ROOT / "clients" / "python" / "src"))
    import saga_client  # noqa: PLC0415 - only this step of the build needs it

    lines = ["Python client reference", "=======================", ""]
    lines += ["What ``saga_client`` exports; :doc:`client` shows how to use it.", ""]
    for name in saga_client.__all__:
        kind = "autofunction" if name.islower() or "_" in name else "autoclass"
        lines += [name, "-" * len(name), "", f".. {kind}:: saga_client.{name}", ""]
    return "\n".join(lines)


def finish(built: Path) -> None:
    """Make each page keep the content policy, and put the site in its place."""
    files: dict[str, str] = {}
    for page in sorted(built.rglob("*.html")):
        inside = page.relative_to(built)
        html = externalised(page.read_text(), up="../" * (len(inside.parts) - 1), files=files)
        check(html, str(inside))
        page.write_text(html)
    for name, content in files.items():
        (built / name).write_text(content + "\n")
    for left_over in [built / ".buildinfo", *built.rglob("*.map"), built / "genindex.html"]:
        left_over.unlink(missing_ok=True)
    shutil.rmtree(built / "_sources", ignore_errors=True)
    shutil.rmtree(SITE, ignore_errors=True)
    built.rename(SITE)


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "saga_project.settings")
    sys.path.insert(0, str(ROOT))
    import django  # noqa: PLC0415 - after the settings' name

    django.setup()
    from saga_project import __version__  # noqa: PLC0415
    from saga_project.web import openapi  # noqa: PLC0415 - it needs Django

    source, built = WORK / "source", WORK / "built"
    for old in (source, built):
        shutil.rmtree(old, ignore_errors=True)
    write_sources(source, openapi.document("required"))
    python = WORK / "venv" / "bin" / "python"
    options = ["-W", "--keep-going", "-q", "-b", "html", "-c", str(ROOT / ".ci" / "sphinx")]
    places = ["-d", str(WORK / "doctrees"), str(source), str(built)]
    environment = {
        **os.environ,
        "SAGA_VERSION": __version__,
        "PYTHONPATH": str(ROOT / "clients" / "python" / "src"),
    }
    subprocess.run([python, "-m", "sphinx", *options, *places], check=True, env=environment)
    finish(built)
    print(f"The site is in {SITE.relative_to(ROOT)}, and at /docs/ of a running Saga.")


if __name__ == "__main__":
    try:
        main()
    except (BuildError, subprocess.CalledProcessError) as exc:
        sys.exit(str(exc))
