"""The tags of an image in an OCI registry: ``ghcr.io/owner/image``, or ``owner/image`` on Docker Hub."""

from __future__ import annotations

import dataclasses
import re
import urllib.parse
from collections.abc import Mapping, Sequence
from typing import Any

from saga_project.shared import http_client, versions
from updates.errors import SourceUnavailable
from updates.releases.sources import exchange, pages, registry_tokens, shapes
from updates.releases.sources.exchange import Answer, Found, Query

DOCKER_HUB = "https://registry-1.docker.io"
MANIFESTS = ", ".join(
    (
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
        "application/vnd.docker.distribution.manifest.v2+json",
    )
)
PAGE_SIZE = 1000
SCHEME = "docker"
#: Registries cut their pages at such sizes, and some of them without a word.
ROUND = 50
#: Digest and time cost two or three calls a tag, so only the newest are asked for theirs.
MAX_RESOLVED = 3
_REPOSITORY = re.compile(r"[a-z0-9]+([._/-]+[a-z0-9]+)*")
SHAPE = shapes.Shape(
    location=re.compile(
        r"(([A-Za-z0-9-]+\.)*[A-Za-z0-9-]+(:[0-9]{1,5})?/)?[a-z0-9]+([._/-]+[a-z0-9]+)*"
    ),
    reads_as="an image's repository, without a tag",
    options=shapes.TAGS,
    max_length=510,
)


def ask(query: Query) -> Answer:
    SHAPE.check(query)
    registry = _Registry(query)
    tags, is_whole = registry.tags()
    found = [registry.mention(version, tag) for version, tag in _versions(tags, query.options)]
    answer = pages.listing(found, validators={}, is_whole=is_whole, entries=len(tags))
    tag_of = dict(_versions(tags, query.options))
    listed = answer.found or ()
    newest = [registry.release(one.version, tag_of[one.version]) for one in listed[:MAX_RESOLVED]]
    return dataclasses.replace(answer, found=(*newest, *listed[MAX_RESOLVED:]))


def read_push(item: Any, options: Mapping[str, Any]) -> Found | None:
    """Return the release that a push of ``{"location", "tag", "digest"}`` is; None where its tag is none."""
    tag = exchange.text(item.get("tag"), limit=128)
    for version, _ in _versions([tag], options):
        return Found(
            version=version,
            artifact_url=f"{item['location']}:{tag}",
            artifact_type="image",
            checksum=exchange.text(item.get("digest"), limit=128),
            scheme=SCHEME,
        )
    return None


def _versions(tags: Sequence[str], options: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return version and tag of each tag that fits the options and is a version."""
    pairs = [(exchange.tagged_version(tag, options), tag) for tag in tags]
    scheme = options.get("scheme", SCHEME)
    if options.get("tag_pattern") or scheme not in versions.NAMES or scheme == "regex":
        return [(version, tag) for version, tag in pairs if version]
    return [(version, tag) for version, tag in pairs if version and _is_read(version, scheme)]


def _is_read(version: str, scheme: str) -> bool:
    found = versions.read(version, scheme)
    return found is not None and found.is_version


class _Registry:
    """One visit: the token that its first challenge got us is used until the end."""

    def __init__(self, query: Query) -> None:
        self._host, self._repository = _split(query.location)
        self._base = query.base_url or (f"https://{self._host}" if self._host else DOCKER_HUB)
        self._credentials = query.token
        self._authorization = ""
        self._limit = pages.Limit()

    def tags(self) -> tuple[list[str], bool]:
        """Return the tags, and whether they are all."""
        first = f"{self._base}/v2/{self._repository}/tags/list?n={PAGE_SIZE}"
        url: str | None = first
        tags: dict[str, None] = {}
        while url is not None and self._limit.allows_another():
            answer = self._get(url, accept="application/json")
            page = exchange.expect_object(exchange.read(answer.body), "list of tags")
            # An image without tags has null there.
            listed = exchange.expect_list(page.get("tags") or [], "list of tags")
            new = [tag for tag in listed if isinstance(tag, str) and tag not in tags]
            tags.update(dict.fromkeys(new))
            url = pages.next_page(url, answer.headers)
            if url is None and new and len(listed) % ROUND == 0:
                url = f"{first}&last={urllib.parse.quote(new[-1])}"
        return list(tags), url is None

    def mention(self, version: str, tag: str) -> Found:
        return Found(
            version=version,
            artifact_url=self._reference(tag),
            artifact_type="image",
            scheme=SCHEME,
        )

    def release(self, version: str, tag: str) -> Found:
        """Return digest and time of a tag; a registry also lists tags of deleted images."""
        answer = self._get(
            f"{self._base}/v2/{self._repository}/manifests/{tag}", accept=MANIFESTS, may_lack=True
        )
        if answer.status == 404:
            return dataclasses.replace(self.mention(version, tag), is_withdrawn=True)
        manifest = exchange.expect_object(exchange.read(answer.body), "manifest")
        digest = exchange.text(answer.headers.get("docker-content-digest"), limit=128)
        return dataclasses.replace(
            self.mention(version, tag),
            checksum=digest,
            published_at=exchange.moment(self._created(manifest)),
        )

    def _reference(self, tag: str) -> str:
        return f"{self._host or 'docker.io'}/{self._repository}:{tag}"

    def _created(self, manifest: dict[str, Any]) -> Any:
        """Return when the image was made: an annotation, else its configuration's word."""
        annotations = manifest.get("annotations")
        if isinstance(annotations, dict) and "org.opencontainers.image.created" in annotations:
            return annotations["org.opencontainers.image.created"]
        if isinstance(parts := manifest.get("manifests"), list) and parts:
            manifest = self._document("manifests", parts[0], accept=MANIFESTS)
        config = manifest.get("config")
        return self._document("blobs", config, accept="*/*").get("created") if config else None

    def _document(self, kind: str, descriptor: Any, *, accept: str) -> dict[str, Any]:
        digest = exchange.text(exchange.expect_object(descriptor, "descriptor").get("digest"))
        if re.fullmatch(r"[a-z0-9]+:[0-9a-f]{32,128}", digest) is None:
            raise SourceUnavailable("The source's answer has no digest.")
        answer = self._get(f"{self._base}/v2/{self._repository}/{kind}/{digest}", accept=accept)
        return exchange.expect_object(exchange.read(answer.body), "configuration")

    def _get(self, url: str, *, accept: str, may_lack: bool = False) -> http_client.Response:
        answer = self._send(url, self._headers(accept))
        if answer.status == 401 and not self._authorization:
            self._authorization = self._authorize(answer.headers.get("www-authenticate", ""))
            answer = self._send(url, self._headers(accept))
        if answer.status != 200 and not (may_lack and answer.status == 404):
            raise exchange.refusal(answer)
        return answer

    def _send(self, url: str, headers: dict[str, str]) -> http_client.Response:
        left = self._limit.seconds_left()
        if left <= 0:
            raise SourceUnavailable("The source did not answer in time.")
        return exchange.send(url, headers, at_most_seconds=left)

    def _headers(self, accept: str) -> dict[str, str]:
        own = {"Authorization": self._authorization} if self._authorization else {}
        return {"Accept": accept, **own}

    def _authorize(self, challenge: str) -> str:
        """Trade the challenge, and ``user:password`` where we have them, for a token."""
        return registry_tokens.trade(
            challenge, credentials=self._credentials, registry=self._base, send=self._send
        )


def base_url(location: str) -> str:
    """Return where the registry of an image is."""
    host, _ = _split(location)
    return f"https://{host}" if host else DOCKER_HUB


def full_name(location: str) -> str:
    """Return the image's repository with its registry; Docker Hub's official images are in ``library``."""
    try:
        host, repository = _split(location)
    except SourceUnavailable:
        return location
    return f"{host or 'docker.io'}/{repository}"


def _split(location: str) -> tuple[str, str]:
    """Return host and repository; the host is empty for Docker Hub."""
    first, _, rest = location.partition("/")
    has_host = bool(rest) and ("." in first or ":" in first or first == "localhost")
    host, repository = (first, rest) if has_host else ("", location)
    if host == "docker.io":
        host = ""
    if not host and "/" not in repository:
        repository = f"library/{repository}"
    if _REPOSITORY.fullmatch(repository) is None or len(repository) > 255:
        raise SourceUnavailable("The location must be an image's repository, without a tag.")
    return host, repository
