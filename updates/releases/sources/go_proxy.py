"""Modules of Go, by the protocol of their proxies: a module's path such as ``github.com/acme/payment/v2``."""

from __future__ import annotations

import dataclasses
import re
import urllib.parse

from saga_project.shared import http_client
from updates.releases.sources import exchange, pages, shapes
from updates.releases.sources.exchange import Answer, Found, Query

BASE_URL = "https://proxy.golang.org"
SHAPE = shapes.Shape(
    location=re.compile(r"[A-Za-z0-9_~-]+(\.[A-Za-z0-9_~-]+)*(/[A-Za-z0-9_.~-]+)*"),
    reads_as="the module's path",
    options=("tag_pattern",),
)
#: A time costs a call, so only the newest are asked for theirs.
MAX_TIMED = 3
_UPPER = re.compile("[A-Z]")
_VERSION = re.compile("v[0-9]")


def ask(query: Query) -> Answer:
    SHAPE.check(query)
    module = f"{query.base_url or BASE_URL}/{escaped(query.location)}"
    authorization = exchange.authorization(query.token)
    document = exchange.get(
        f"{module}/@v/list",
        accept="text/plain, */*",
        authorization=authorization,
        validators=query.validators,
        parse=_lines,
    )
    if document.content is None:
        return Answer(found=None, validators=document.validators)
    names = document.content or _latest(module, authorization)
    tags = {
        version: tag for tag in names if (version := exchange.tagged_version(tag, query.options))
    }
    found = [_release(module, version, tag) for version, tag in tags.items()]
    answer = pages.listing(found, validators=document.validators)
    listed = answer.found or ()
    timed = [_timed(one, module, tags[one.version], authorization) for one in listed[:MAX_TIMED]]
    return dataclasses.replace(answer, found=(*timed, *listed[MAX_TIMED:]))


def escaped(path: str) -> str:
    """Return a path or version for a proxy, which marks each upper-case letter by ``!``."""
    plain = _UPPER.sub(lambda letter: f"!{letter[0].lower()}", path)
    return urllib.parse.quote(plain, safe="/!+~@")


def _lines(answer: http_client.Response) -> list[str]:
    lines = answer.body.decode("utf-8", "replace").split()
    return [line for line in lines if _VERSION.match(line)]


def _latest(module: str, authorization: str) -> list[str]:
    """Return the only version of a module without tags, which a proxy makes of the time and the commit."""
    document = exchange.get(f"{module}/@latest", authorization=authorization)
    latest = exchange.expect_object(document.content, "latest version")
    return [exchange.text(latest.get("Version"), limit=128)]


def _release(module: str, version: str, tag: str) -> Found:
    return Found(version=version, artifact_url=exchange.url(f"{module}/@v/{escaped(tag)}.zip"))


def _timed(release: Found, module: str, tag: str, authorization: str) -> Found:
    document = exchange.get(f"{module}/@v/{escaped(tag)}.info", authorization=authorization)
    info = exchange.expect_object(document.content, "information about a version")
    return dataclasses.replace(release, published_at=exchange.moment(info.get("Time")))
