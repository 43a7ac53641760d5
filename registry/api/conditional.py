"""Answers that a client may keep: entity tags of lookups and lists, and 304 for those that it has.

The tags are weak: a heartbeat moves ``last_heartbeat`` and changes no tag. All web processes make the same.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

from django.utils.http import parse_etags
from rest_framework.request import Request
from rest_framework.response import Response

from registry.api import stale_reads
from registry.directory import InstanceEntry, ServiceEntry


def tag_of(entry: ServiceEntry, instance: InstanceEntry) -> bytes:
    """Return the tag of an answer about one instance: a change of the service has another revision."""
    return b'W/"%x.%x.%b"' % (entry.uuid, entry.revision, instance.instance_id.encode("ascii"))


def tag_of_all(rows: Iterable[bytes], *, total: int) -> bytes:
    """Return the tag of a list: ``rows`` are the tags of what is in it, ``total`` counts all matches."""
    digest = hashlib.blake2b(b"\n".join((b"%d" % total, *rows)), digest_size=16)
    return b'W/"%b"' % digest.hexdigest().encode("ascii")


def answer(request: Request, body: Any, *, tag: bytes, age: float | None) -> Response:
    """Answer with the body and its tag, or with 304; stale answers carry their age and no tag."""
    if age is not None:
        return stale_reads.mark(Response(body), age)
    etag = tag.decode("ascii")
    if _is_known(request.headers.get("If-None-Match", ""), etag):
        return Response(status=304, headers={"ETag": etag})
    return Response(body, headers={"ETag": etag})


def _is_known(header: str, etag: str) -> bool:
    """Return whether ``If-None-Match`` names the tag; the comparison is the weak one."""
    known = parse_etags(header)
    return known == ["*"] or etag in (f"W/{tag.removeprefix('W/')}" for tag in known)
