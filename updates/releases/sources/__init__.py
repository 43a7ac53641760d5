"""Where new versions are found: one module a kind, each a function from Query to Answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from updates.models import Source
from updates.releases.sources import (
    crates,
    document,
    endoflife,
    git_tags,
    gitea,
    github,
    gitlab,
    go_proxy,
    helm,
    maven,
    npm,
    oci,
    pypi,
    rubygems,
    s3,
)
from updates.releases.sources.exchange import Answer, Found, Query
from updates.releases.sources.shapes import Shape

__all__ = ["ASK", "BASE_URLS", "NOTICE_READERS", "SHAPES", "Answer", "Found", "Query", "Shape"]

#: Read one release as a sender's own payload describes it.
NOTICE_READERS: dict[str, Callable[[Any, Mapping[str, Any]], Found | None]] = {
    Source.Kind.GITHUB: github.read_release,
    Source.Kind.GITLAB: gitlab.read_release,
    Source.Kind.GITEA: github.read_release,
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
    Source.Kind.HELM: helm.ask,
    Source.Kind.MAVEN: maven.ask,
    Source.Kind.CRATES: crates.ask,
    Source.Kind.RUBYGEMS: rubygems.ask,
    Source.Kind.GO: go_proxy.ask,
    Source.Kind.GIT: git_tags.ask,
    Source.Kind.S3: s3.ask,
    Source.Kind.ENDOFLIFE: endoflife.ask,
    Source.Kind.JSON: document.ask,
}

#: How each kind is set up.
SHAPES: dict[str, Shape] = {
    Source.Kind.GITHUB: github.SHAPE,
    Source.Kind.GITLAB: gitlab.SHAPE,
    Source.Kind.GITEA: gitea.SHAPE,
    Source.Kind.PYPI: pypi.SHAPE,
    Source.Kind.NPM: npm.SHAPE,
    Source.Kind.OCI: oci.SHAPE,
    Source.Kind.HELM: helm.SHAPE,
    Source.Kind.MAVEN: maven.SHAPE,
    Source.Kind.CRATES: crates.SHAPE,
    Source.Kind.RUBYGEMS: rubygems.SHAPE,
    Source.Kind.GO: go_proxy.SHAPE,
    Source.Kind.GIT: git_tags.SHAPE,
    Source.Kind.S3: s3.SHAPE,
    Source.Kind.ENDOFLIFE: endoflife.SHAPE,
    Source.Kind.JSON: document.SHAPE,
}

#: The public server of each kind that has one.
BASE_URLS: dict[str, str] = {
    Source.Kind.GITHUB: github.BASE_URL,
    Source.Kind.GITLAB: gitlab.BASE_URL,
    Source.Kind.PYPI: pypi.BASE_URL,
    Source.Kind.NPM: npm.BASE_URL,
    Source.Kind.OCI: oci.DOCKER_HUB,
    Source.Kind.MAVEN: maven.BASE_URL,
    Source.Kind.CRATES: crates.BASE_URL,
    Source.Kind.RUBYGEMS: rubygems.BASE_URL,
    Source.Kind.GO: go_proxy.BASE_URL,
    Source.Kind.ENDOFLIFE: endoflife.BASE_URL,
}
