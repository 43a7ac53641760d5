"""The one exchange that all sources share: conditional, bounded, and clear about what went wrong."""

from __future__ import annotations

import base64
import datetime as dt
import email.utils
import math
import urllib.parse
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from django.conf import settings

from registry import names
from saga_project.shared import api, errors, http_client, rules, strict_json, versions
from updates.errors import SourceUnavailable
from updates.releases.sources import foreign_json

TIMEOUT_SECONDS = 30.0
#: A source that asks us to come back next year is asked again tomorrow.
MAX_RETRY_AFTER_SECONDS = 24 * 3600
MAX_RELEASES = 50
MAX_PROSE = 64 * 1024


@dataclass(frozen=True, kw_only=True)
class Query:
    """A request to a source; ``validators`` are those of the last answer (ETag, Last-Modified)."""

    location: str
    base_url: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    token: str = ""
    validators: Mapping[str, str] = field(default_factory=dict)
    #: Whether a policy waits for a minimum age, for which some sources send a much longer answer.
    needs_times: bool = False


@dataclass(frozen=True, kw_only=True)
class Found:
    """A version that a source has; ``is_withdrawn`` where it took it back (yanked, deprecated).

    ``is_prerelease`` is the source's word; the version's own spelling counts besides.
    """

    version: str
    artifact_url: str = ""
    artifact_type: str = "binary"
    checksum: str = ""
    size_bytes: int | None = None
    published_at: dt.datetime | None = None
    notes: str = ""
    channel: str = ""
    #: Only a policy that names the channel takes it.
    needs_channel: bool = False
    is_prerelease: bool = False
    is_withdrawn: bool = False
    #: Why there is no artifact, where the source has files but none that can be chosen.
    artifact_problem: str = ""
    scheme: str = versions.AUTO


@dataclass(frozen=True, kw_only=True)
class Answer:
    """``found`` is None where the source says that nothing changed.

    ``listed`` holds every version of a list that was read to its end, None where that is not known;
    ``warning`` says which part was not read.
    """

    found: tuple[Found, ...] | None
    listed: frozenset[str] | None = None
    warning: str = ""
    validators: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Document:
    """A JSON answer, or, with ``content`` None, that it is what we know already."""

    content: Any
    validators: Mapping[str, str]
    headers: Mapping[str, str]


def get(
    url: str,
    *,
    accept: str = "application/json",
    authorization: str = "",
    validators: Mapping[str, str] | None = None,
    parse: Callable[[http_client.Response], Any] | None = None,
) -> Document:
    """Return the JSON at ``url``, or what ``parse`` reads in the answer; raises SourceUnavailable."""
    headers = {"Accept": accept} | conditions(validators or {})
    if authorization:
        headers["Authorization"] = authorization
    answer = send(url, headers)
    if answer.status == 304:
        return Document(None, dict(validators or {}), answer.headers)
    if answer.status != 200:
        raise refusal(answer)
    content = read(answer.body) if parse is None else parse(answer)
    return Document(content, validators_in(answer.headers), answer.headers)


def authorization(token: str) -> str:
    """Return the header for a token: Basic for ``user:password``, Bearer for anything else."""
    if ":" in token:
        return f"Basic {base64.b64encode(token.encode()).decode('ascii')}"
    return f"Bearer {token}" if token else ""


def send(
    url: str,
    headers: Mapping[str, str],
    *,
    at_most_seconds: float = math.inf,
    is_probe: bool = False,
    body: bytes | None = None,
) -> http_client.Response:
    """Return the answer, whatever its status; of a probe only that and its headers are wanted.

    A ``body`` is a question that is posted.
    """
    try:
        return http_client.request(
            "GET" if body is None else "POST",
            url,
            purpose="source",
            headers=headers,
            body=body,
            timeout_seconds=min(TIMEOUT_SECONDS, at_most_seconds),
            max_bytes=1 if is_probe else settings.SAGA_SOURCE_MAX_BYTES,
            truncate=is_probe,
            follow_redirects=0 if is_probe else 3,
        )
    except errors.SagaError as exc:
        raise SourceUnavailable(exc.message) from exc


def read(body: bytes) -> Any:
    try:
        return foreign_json.loads(body)
    except foreign_json.Unreadable as exc:
        raise SourceUnavailable("The source's answer is not the JSON that it should be.") from exc


def conditions(validators: Mapping[str, str]) -> dict[str, str]:
    """Return the headers that ask for a document only where it changed."""
    pairs = {
        "If-None-Match": validators.get("etag"),
        "If-Modified-Since": validators.get("modified"),
    }
    return {name: value for name, value in pairs.items() if value}


def validators_in(headers: Mapping[str, str]) -> dict[str, str]:
    pairs = {"etag": headers.get("etag"), "modified": headers.get("last-modified")}
    return {name: value for name, value in pairs.items() if value and len(value) <= 512}


def refusal(answer: http_client.Response | http_client.StreamedResponse) -> SourceUnavailable:
    """Return what a status other than 200 means, with the time to wait where the source names one."""
    wait = _seconds_to_wait(answer.headers)
    if answer.status == 429 or (answer.status == 403 and wait is not None):
        return SourceUnavailable(
            "The source limits how often we ask.", retry_after_seconds=wait or 60
        )
    words = {
        401: "The source refuses our token, or wants one.",
        403: "The source refuses our token, or wants one.",
        404: "The source does not know this location.",
        410: "The source does not have this location any more.",
    }
    sentence = words.get(answer.status, f"The source answered {answer.status}.")
    return SourceUnavailable(sentence, retry_after_seconds=wait)


def _seconds_to_wait(headers: Mapping[str, str]) -> int | None:
    """Read ``Retry-After`` (seconds or a date), else GitHub's ``X-RateLimit-Reset`` once none remain."""
    text = headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit() and len(text) <= 9:
        return min(int(text), MAX_RETRY_AFTER_SECONDS)
    if text and (moment := _http_date(text)):
        return _bounded(moment - dt.datetime.now(dt.UTC))
    reset = headers.get("x-ratelimit-reset", "")
    if headers.get("x-ratelimit-remaining") == "0" and reset.isdigit() and len(reset) <= 11:
        return _bounded(dt.datetime.fromtimestamp(int(reset), dt.UTC) - dt.datetime.now(dt.UTC))
    return None


def _http_date(text: str) -> dt.datetime | None:
    try:
        moment = email.utils.parsedate_to_datetime(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)


def _bounded(wait: dt.timedelta) -> int:
    return max(1, min(int(wait.total_seconds()) + 1, MAX_RETRY_AFTER_SECONDS))


# --- Reading what came back, of which nothing is trusted ------------------------------------------


def expect_object(value: Any, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise SourceUnavailable(f"The source's answer has no {what}.")
    return value


def expect_list(value: Any, what: str) -> list[Any]:
    if not isinstance(value, list):
        raise SourceUnavailable(f"The source's answer has no {what}.")
    return value


def text(value: Any, *, limit: int = 2048) -> str:
    """Return ``value`` where it is text of bearable length that can be stored, else the empty string."""
    is_fit = isinstance(value, str) and len(value) <= limit and strict_json.is_clean(value)
    return value if is_fit else ""


def prose(value: Any) -> str:
    """Return the beginning of a text for people, without what cannot be stored."""
    return strict_json.clean(value[:MAX_PROSE]) if isinstance(value, str) else ""


def size(value: Any) -> int | None:
    fits = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**62
    return value if fits else None


def moment(value: Any) -> dt.datetime | None:
    return api.parse_time(value) if isinstance(value, str) and len(value) <= 64 else None


def version(value: Any, *, prefix: str = "") -> str | None:
    """Return the version in a tag such as ``payment-v1.3.0`` (prefix ``payment-``), None where it is none."""
    if not isinstance(value, str) or not value.startswith(prefix):
        return None
    bare = value.removeprefix(prefix)
    if bare[:1] in ("v", "V") and bare[1:2].isdigit():
        bare = bare[1:]
    try:
        return names.check_version(bare)
    except rules.InvalidVersion:
        return None


def tagged_version(tag: Any, options: Mapping[str, Any]) -> str | None:
    """Return the version of a tag that fits ``tag_prefix`` and ``tag_pattern``, else None."""
    prefix, pattern = text(options.get("tag_prefix", "")), text(options.get("tag_pattern", ""))
    if not isinstance(tag, str) or not tag.startswith(prefix):
        return None
    if not pattern:
        return version(tag, prefix=prefix)
    try:
        found = versions.compile_pattern(pattern).fullmatch(tag.removeprefix(prefix))
    except versions.PatternError as exc:
        raise SourceUnavailable(f"The source's option 'tag_pattern' is wrong: {exc}") from None
    if found is None:
        return None
    return version(found.groupdict().get("version") or found[0])


def url(value: Any) -> str:
    """Return ``value`` where it is a URL that we would call, else the empty string."""
    candidate = text(value)
    try:
        http_client.check_url(candidate)
    except http_client.InvalidUrl:
        return ""
    return candidate


def filled(template: Any, *, version: str, tag: str) -> str:
    """Return the URL that a template with ``{version}`` and ``{tag}`` makes, empty where it makes none."""
    quoted = {"{version}": urllib.parse.quote(version, safe="+")}
    quoted["{tag}"] = urllib.parse.quote(tag, safe="/+")
    address = text(template)
    for mark, value in quoted.items():
        address = address.replace(mark, value)
    return url(address)


def newest(found: list[Found]) -> tuple[Found, ...]:
    """Return the newest of what was found, newest first: of long histories the rest is of no use."""
    ordered = sorted(
        found, key=lambda release: versions.rank(release.version, release.scheme), reverse=True
    )
    return tuple(ordered[:MAX_RELEASES])
