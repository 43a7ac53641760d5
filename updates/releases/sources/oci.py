"""The tags of an image in an OCI registry: ``ghcr.io/owner/image``, or ``owner/image`` on Docker Hub."""

from __future__ import annotations

import re
import time
import urllib.parse
from typing import Any

from saga_project.shared import http_client, versions
from updates.errors import SourceUnavailable
from updates.releases.sources import exchange, registry_tokens
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
MAX_PAGES = 10
#: Digest and time cost two or three calls a tag, so only the newest are asked for theirs.
MAX_RESOLVED = 3
#: All calls of one visit together.
VISIT_SECONDS = 60.0
_REPOSITORY = re.compile(r"[a-z0-9]+([._/-]+[a-z0-9]+)*")
_NEXT = re.compile(r'<([^>]+)>\s*;\s*rel="?next"?')


def ask(query: Query) -> Answer:
    registry = _Registry(query)
    tags = registry.tags()
    prefix = exchange.text(query.options.get("tag_prefix", ""))
    pairs = [(version, tag) for tag in tags if (version := exchange.version(tag, prefix=prefix))]
    pairs = [pair for pair in pairs if versions.is_version(pair[0])]
    pairs.sort(key=lambda pair: versions.key(pair[0]), reverse=True)
    found = [
        registry.release(version, tag) if place < MAX_RESOLVED else registry.mention(version, tag)
        for place, (version, tag) in enumerate(pairs[: exchange.MAX_RELEASES])
    ]
    return Answer(found=tuple(found))


class _Registry:
    """One visit: the token that its first challenge got us is used until the end."""

    def __init__(self, query: Query) -> None:
        self._host, self._repository = _split(query.location)
        self._base = query.base_url or (f"https://{self._host}" if self._host else DOCKER_HUB)
        self._credentials = query.token
        self._authorization = ""
        self._ends_at = time.monotonic() + VISIT_SECONDS

    def tags(self) -> list[str]:
        url: str | None = f"{self._base}/v2/{self._repository}/tags/list?n=1000"
        tags: list[str] = []
        for _ in range(MAX_PAGES):
            answer = self._get(url, accept="application/json") if url else None
            if answer is None:
                break
            page = exchange.expect_object(exchange.read(answer.body), "list of tags")
            # An image without tags has null there.
            listed = exchange.expect_list(page.get("tags") or [], "list of tags")
            tags += [tag for tag in listed if isinstance(tag, str)]
            more = _NEXT.search(answer.headers.get("link", ""))
            url = urllib.parse.urljoin(f"{self._base}/", more[1]) if more else None
            if url and not url.startswith(f"{self._base}/"):
                raise SourceUnavailable("The source's list goes on at another server.")
        return tags

    def mention(self, version: str, tag: str) -> Found:
        return Found(version=version, artifact_url=self._reference(tag), artifact_type="image")

    def release(self, version: str, tag: str) -> Found:
        answer = self._get(f"{self._base}/v2/{self._repository}/manifests/{tag}", accept=MANIFESTS)
        manifest = exchange.expect_object(exchange.read(answer.body), "manifest")
        digest = exchange.text(answer.headers.get("docker-content-digest"), limit=128)
        return Found(
            version=version,
            artifact_url=self._reference(tag),
            artifact_type="image",
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

    def _get(self, url: str, *, accept: str) -> http_client.Response:
        answer = self._send(url, self._headers(accept))
        if answer.status == 401 and not self._authorization:
            self._authorization = self._authorize(answer.headers.get("www-authenticate", ""))
            answer = self._send(url, self._headers(accept))
        if answer.status != 200:
            raise exchange.refusal(answer)
        return answer

    def _send(self, url: str, headers: dict[str, str]) -> http_client.Response:
        left = self._ends_at - time.monotonic()
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
