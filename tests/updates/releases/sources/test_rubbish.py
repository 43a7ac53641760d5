"""Any JSON at all: a source finds versions in it or says what is wrong, and never fails otherwise."""

from __future__ import annotations

import contextlib
import json
import re
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pytest_httpserver import HTTPServer
from werkzeug import Response

from tests.updates.releases.sources.test_sources import LOCATIONS
from updates.errors import SourceUnavailable
from updates.models import Release
from updates.releases import recording, sources

WORDS = [
    "files",
    "filename",
    "url",
    "hashes",
    "sha256",
    "size",
    "upload-time",
    "yanked",
    "versions",
    "dist-tags",
    "time",
    "dist",
    "tarball",
    "integrity",
    "deprecated",
    "tags",
    "manifests",
    "digest",
    "config",
    "annotations",
    "created",
    "tag_name",
    "draft",
    "prerelease",
    "published_at",
    "body",
    "assets",
    "name",
    "browser_download_url",
    "version",
    "1.3.0",
    "v1",
    "latest",
    "acme_payment-1.3.0.tar.gz",
    "sha512-AAAA",
    "org.opencontainers.image.created",
    "2026-02-01T10:00:00Z",
    "https://x.example/y",
]
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(WORDS),
    st.text(max_size=8).filter(lambda text: "\x00" not in text),
)
DOCUMENTS = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(WORDS), inner, max_size=6)
    ),
    max_leaves=25,
)
SHAPES = {
    "github": lambda inner: st.lists(st.dictionaries(st.sampled_from(WORDS), inner), max_size=3),
    "pypi": lambda inner: st.fixed_dictionaries(
        {"files": st.lists(st.dictionaries(st.sampled_from(WORDS), inner), max_size=3)}
    ),
    "npm": lambda inner: st.fixed_dictionaries(
        {
            "versions": st.dictionaries(
                st.sampled_from(WORDS), st.dictionaries(st.sampled_from(WORDS), inner)
            )
        },
        optional={"dist-tags": inner, "time": inner},
    ),
    "oci": lambda inner: st.fixed_dictionaries(
        {"tags": st.lists(st.sampled_from(WORDS))},
        optional={
            "manifests": inner,
            "config": inner,
            "annotations": inner,
        },
    ),
    "json": lambda inner: st.dictionaries(st.sampled_from(WORDS), inner),
}
POINTERS = {
    "version": "/version",
    "url": "/url",
    "published_at": "/time",
    "size": "/size",
    "notes": "/body",
}


@pytest.mark.parametrize("kind", SHAPES)
@given(data=st.data())
@settings(
    max_examples=20,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_rubbish_is_never_more_than_unavailable(
    httpserver: HTTPServer, kind: str, data: Any
) -> None:
    document = data.draw(st.one_of(DOCUMENTS, SHAPES[kind](DOCUMENTS)))
    body = json.dumps(document)
    httpserver.clear_all_handlers()
    httpserver.expect_request(re.compile(".*")).respond_with_handler(
        lambda _: Response(body, content_type="application/json")
    )
    base_url = httpserver.url_for("").rstrip("/")
    query = sources.Query(
        location=f"{base_url}/latest" if kind == "json" else LOCATIONS[kind],
        base_url=base_url,
        options={"pointers": POINTERS},
    )

    with contextlib.suppress(SourceUnavailable):
        for found in sources.ASK[kind](query).found or ():
            recording.evaluate(
                recording.Announcement(
                    version=found.version,
                    artifact_url=found.artifact_url,
                    artifact_type=Release.ArtifactType(found.artifact_type),
                    checksum=found.checksum,
                    channel=found.channel,
                )
            )
