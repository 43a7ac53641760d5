"""Maven repositories, by ``maven-metadata.xml``: ``group.id:artifact``.

Options: ``extension`` (of the file, default ``jar``), ``classifier``.
"""

from __future__ import annotations

import re
import urllib.parse

from saga_project.shared import http_client
from updates.releases.sources import exchange, pages, shapes, xml_documents
from updates.releases.sources.exchange import Answer, Found, Query

BASE_URL = "https://repo1.maven.org/maven2"
SCHEME = "maven"
SHAPE = shapes.Shape(
    location=re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*:[A-Za-z0-9_.-]+"),
    reads_as="group.id:artifact",
    options=("extension", "classifier"),
    max_length=400,
)
NO_FILE = "A snapshot has no file of a fixed name; deploy a release instead."


def ask(query: Query) -> Answer:
    SHAPE.check(query)
    group, _, artifact = query.location.partition(":")
    folder = f"{query.base_url or BASE_URL}/{group.replace('.', '/')}/{artifact}"
    document = exchange.get(
        f"{folder}/maven-metadata.xml",
        accept="application/xml, text/xml, */*",
        authorization=exchange.authorization(query.token),
        validators=query.validators,
        parse=_versions,
    )
    if document.content is None:
        return Answer(found=None, validators=document.validators)
    suffix = _suffix(query)
    found = [
        _release(version, f"{folder}/{{}}/{artifact}-{{}}{suffix}") for version in document.content
    ]
    return pages.listing(found, validators=document.validators)


def _suffix(query: Query) -> str:
    classifier = exchange.text(query.options.get("classifier", ""), limit=255)
    extension = exchange.text(query.options.get("extension", ""), limit=255) or "jar"
    suffix = f"-{classifier}.{extension}" if classifier else f".{extension}"
    return urllib.parse.quote(suffix, safe="")


def _versions(answer: http_client.Response) -> list[str]:
    root = xml_documents.read(answer.body, root="metadata")
    named = [exchange.version(item.text) for item in root.findall("./versioning/versions/version")]
    return [version for version in named if version]


def _release(version: str, place: str) -> Found:
    is_snapshot = version.endswith("-SNAPSHOT")
    quoted = urllib.parse.quote(version, safe="+")
    return Found(
        version=version,
        artifact_url="" if is_snapshot else exchange.url(place.format(quoted, quoted)),
        artifact_problem=NO_FILE if is_snapshot else "",
        scheme=SCHEME,
    )
