"""``GET /services/{name}/resolve`` from memory, as ``instances.ResolveView`` defines it."""

from __future__ import annotations

import re

import orjson
from django.http import HttpRequest, QueryDict
from rest_framework.request import Request

from registry import directory
from registry.api import conditional, criteria, instances
from registry.directory import Criteria
from registry.fast.rendered_lists import Answer
from saga_project.shared import counters, errors

RESOLVE = b"/resolve"
MAX_QUERIES = 1000
_USUAL_QUERY = re.compile(rb"[!-\"$-~]{1,1024}")
_PARAMETERS = frozenset(parameter.name for parameter in criteria.PARAMETERS)
#: What query strings ask for; None for those that Django must check.
_criteria: dict[bytes, Criteria | None] = {}


def resolved(target: bytes) -> Answer | None:
    """Return tag and body for ``{name}/resolve?...``, or None where Django must answer."""
    name, _, query = target.partition(RESOLVE)
    wanted = _criteria_of(query)
    if wanted is None or not directory.is_whole():
        return None
    entry = directory.peek(name.decode("latin-1"))
    if entry is None or not entry.is_visible:
        return None
    instance = directory.pick(entry, wanted, live=entry.live(directory.now_us()))
    if instance is None:
        return None
    counters.cells[counters.HITS] += 1
    body = instances.resolved_body(entry, instance)
    return conditional.tag_of(entry, instance), orjson.dumps(body)


def _criteria_of(query: bytes) -> Criteria | None:
    if not query:
        return directory.ANY
    if query in _criteria:
        return _criteria[query]
    if not query.startswith(b"?") or _USUAL_QUERY.fullmatch(query) is None:
        return None
    if len(_criteria) >= MAX_QUERIES:
        _criteria.clear()
    return _criteria.setdefault(query, _read(query[1:].decode("ascii")))


def _read(query: str) -> Criteria | None:
    """Read the parameters as the view does; unknown and wrong ones are Django's."""
    request = HttpRequest()
    request.GET = QueryDict(query)
    if not _PARAMETERS.issuperset(request.GET):
        return None
    try:
        return criteria.read_criteria(Request(request))
    except errors.SagaError:
        return None
