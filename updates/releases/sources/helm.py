"""A chart of a Helm repository: the chart's name, in ``index.yaml`` below the base URL."""

from __future__ import annotations

import re
import urllib.parse
from typing import Any

import yaml

from saga_project.shared import http_client
from updates.errors import SourceUnavailable
from updates.releases.sources import exchange, pages, shapes
from updates.releases.sources.exchange import Answer, Found, Query

SHAPE = shapes.Shape(
    location=re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}"),
    reads_as="the chart's name",
    server="the repository that has index.yaml",
)
Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _TextLoader(Loader):  # type: ignore[misc,valid-type]
    """Reads every plain value as text: ``1.10`` is a version, and a time is read by its own rule."""

    yaml_implicit_resolvers: dict[str, Any] = {}


def ask(query: Query) -> Answer:
    SHAPE.check(query)
    index_url = f"{query.base_url}/index.yaml"
    document = exchange.get(
        index_url,
        accept="application/yaml, text/yaml, */*",
        authorization=exchange.authorization(query.token),
        validators=query.validators,
        parse=lambda answer: _charts(answer, query.location),
    )
    if document.content is None:
        return Answer(found=None, validators=document.validators)
    found = [release for chart in document.content if (release := _release(chart, index_url))]
    return pages.listing(found, validators=document.validators)


def _charts(answer: http_client.Response, name: str) -> list[Any]:
    """Return the entries of one chart; of the other charts nothing is built."""
    loader = _TextLoader(answer.body)
    try:
        root = loader.get_single_node()
        entries = _child(root, "entries")
        charts = _child(entries, name)
        if charts is None:
            raise SourceUnavailable(f"The repository's index has no chart {name!r}.")
        return exchange.expect_list(loader.construct_document(charts), "list of versions")
    except (yaml.YAMLError, ValueError, RecursionError) as exc:
        raise SourceUnavailable("The source's answer is not the YAML that it should be.") from exc
    finally:
        loader.dispose()


def _child(node: Any, name: str) -> Any:
    pairs = node.value if isinstance(node, yaml.MappingNode) else []
    return next((value for key, value in pairs if key.value == name), None)


def _release(chart: Any, index_url: str) -> Found | None:
    chart = exchange.expect_object(chart, "version")
    version = exchange.version(chart.get("version"))
    if version is None:
        return None
    urls = chart.get("urls")
    first = exchange.text(urls[0]) if isinstance(urls, list) and urls else ""
    digest = exchange.text(chart.get("digest"), limit=128)
    return Found(
        version=version,
        artifact_url=exchange.url(urllib.parse.urljoin(index_url, first)) if first else "",
        checksum=f"sha256:{digest}" if re.fullmatch("[0-9a-f]{64}", digest) else digest,
        published_at=exchange.moment(chart.get("created")),
        notes=exchange.prose(chart.get("description")),
        is_withdrawn=chart.get("deprecated") in ("true", "True", True),
    )
