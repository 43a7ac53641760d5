"""Where new versions are found: one module a kind, each a function from Query to Answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from updates.models import Source
from updates.releases.sources import document, gitea, github, gitlab, npm, oci, pypi
from updates.releases.sources.exchange import Answer, Found, Query

__all__ = ["ASK", "READ_NEWS", "Answer", "Found", "Query"]

#: Read one release as a sender's own payload describes it.
READ_NEWS: dict[str, Callable[[Any, Mapping[str, Any]], Found | None]] = {
    Source.Kind.GITHUB: github.read_release,
    Source.Kind.OCI: oci.read_push,
}

#: What is announced needs no asking, so it is not here.
ASK: dict[str, Callable[[Query], Answer]] = {
    Source.Kind.GITHUB: github.ask,
    Source.Kind.GITLAB: gitlab.ask,
    Source.Kind.GITEA: gitea.ask,
    Source.Kind.PYPI: pypi.ask,
    Source.Kind.NPM: npm.ask,
    Source.Kind.OCI: oci.ask,
    Source.Kind.JSON: document.ask,
}
