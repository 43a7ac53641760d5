"""Sources on loopback that answer as the real ones do: shapes, headers, conditions, challenges."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any

from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

Handler = Callable[[Request], Response]
SHA256 = hashlib.sha256(b"artifact").hexdigest()


def conditional(
    document: Any,
    *,
    content_type: str = "application/json",
    headers: Mapping[str, str] | None = None,
) -> Handler:
    """Answer with an ETag, and 304 to a client that has it already."""
    body = json.dumps(document).encode()
    etag = f'W/"{hashlib.sha256(body).hexdigest()}"'

    def answer(request: Request) -> Response:
        own = {"ETag": etag, **(headers or {})}
        if request.headers.get("If-None-Match") == etag:
            return Response(status=304, headers=own)
        return Response(body, content_type=content_type, headers=own)

    return answer


# --- GitHub ---------------------------------------------------------------------------------------


def github_release(
    tag: str, *, published_at: str = "2026-02-01T10:00:00Z", **fields: Any
) -> dict[str, Any]:
    name = f"payment-{tag}.tar.gz"
    url = f"https://github.example/acme/payment/releases/download/{tag}/{name}"
    asset = {
        "name": name,
        "content_type": "application/gzip",
        "size": 1048576,
        "digest": f"sha256:{SHA256}",
        "browser_download_url": url,
    }
    release = {
        "id": 1,
        "tag_name": tag,
        "name": f"Release {tag}",
        "draft": False,
        "prerelease": False,
        "created_at": "2026-01-31T09:00:00Z",
        "published_at": published_at,
        "assets": [asset],
        "tarball_url": "https://api.github.example/tarball",
        "body": "What changed.",
    }
    return {**release, **fields}


def serve_github(server: HTTPServer, releases: list[dict[str, Any]]) -> None:
    """``GET /repos/acme/payment/releases``, with the rate limit's headers."""
    limits = {
        "X-RateLimit-Limit": "60",
        "X-RateLimit-Remaining": "59",
        "X-RateLimit-Reset": "1772452800",
    }
    content_type = "application/json; charset=utf-8"
    answer = conditional(releases, content_type=content_type, headers=limits)
    server.expect_request("/repos/acme/payment/releases").respond_with_handler(answer)


# --- PyPI -----------------------------------------------------------------------------------------


def pypi_file(filename: str, **fields: Any) -> dict[str, Any]:
    file = {
        "filename": filename,
        "url": f"https://files.example/packages/{filename}",
        "hashes": {"sha256": SHA256},
        "requires-python": ">=3.11",
        "size": 20480,
        "upload-time": "2026-02-01T10:00:00.123456Z",
        "yanked": False,
        "core-metadata": {"sha256": "f" * 64},
    }
    return {**file, **fields}


def serve_pypi(server: HTTPServer, files: list[dict[str, Any]]) -> None:
    """``GET /simple/acme-payment/`` by PEP 691 and 700; anything but its JSON form is not asked for."""
    page = {
        "meta": {"api-version": "1.1", "_last-serial": 4711},
        "name": "acme-payment",
        "versions": [],
        "files": files,
    }
    server.expect_request(
        "/simple/acme-payment/", headers={"Accept": "application/vnd.pypi.simple.v1+json"}
    ).respond_with_handler(conditional(page, content_type="application/vnd.pypi.simple.v1+json"))


# --- npm ------------------------------------------------------------------------------------------


def npm_version(version: str, **fields: Any) -> dict[str, Any]:
    digest = base64.b64encode(hashlib.sha512(b"artifact").digest()).decode()
    manifest = {
        "name": "@acme/payment",
        "version": version,
        "dist": {
            "tarball": f"https://npm.example/@acme/payment/-/payment-{version}.tgz",
            "shasum": "0" * 40,
            "integrity": f"sha512-{digest}",
            "unpackedSize": 4096,
        },
    }
    return {**manifest, **fields}


def serve_npm(server: HTTPServer, versions: list[dict[str, Any]], tags: Mapping[str, str]) -> None:
    times = {item["version"]: "2026-02-01T10:00:00.000Z" for item in versions}
    package = {
        "_id": "@acme/payment",
        "name": "@acme/payment",
        "dist-tags": tags,
        "versions": {item["version"]: item for item in versions},
        "time": {
            "created": "2025-01-01T00:00:00.000Z",
            "modified": "2026-02-01T10:00:00.000Z",
            **times,
        },
    }
    server.expect_request("/@acme/payment").respond_with_handler(conditional(package))


# --- OCI ------------------------------------------------------------------------------------------


def serve_oci(
    server: HTTPServer, tags: list[str], *, password: str = "", page_size: int = 100
) -> None:
    """A registry by the distribution specification: challenge, pages, index, manifest, config."""
    registry = _OciRegistry(server, tags, password=password, page_size=page_size)
    server.expect_request("/token").respond_with_handler(registry.token)
    server.expect_request("/v2/acme/payment/tags/list").respond_with_handler(registry.list_tags)
    for tag in tags:
        server.expect_request(f"/v2/acme/payment/manifests/{tag}").respond_with_handler(
            registry.index
        )
    manifest = f"/v2/acme/payment/manifests/{registry.digest_of('manifest')}"
    server.expect_request(manifest).respond_with_handler(registry.manifest)
    config = f"/v2/acme/payment/blobs/{registry.digest_of('config')}"
    server.expect_request(config).respond_with_handler(registry.config)


class _OciRegistry:
    def __init__(
        self, server: HTTPServer, tags: list[str], *, password: str, page_size: int
    ) -> None:
        self._server, self._tags = server, tags
        self._password, self._page_size = password, page_size

    @staticmethod
    def digest_of(name: str) -> str:
        return f"sha256:{hashlib.sha256(name.encode()).hexdigest()}"

    def token(self, request: Request) -> Response:
        given = request.authorization.password if request.authorization else ""
        if self._password and given != self._password:
            return Response(status=401)
        assert request.args.to_dict() == {
            "service": "registry.example",
            "scope": "repository:acme/payment:pull",
        }
        return _json({"token": "opaque", "expires_in": 300})

    def _refusal(self, request: Request) -> Response | None:
        if request.headers.get("Authorization") == "Bearer opaque":
            return None
        challenge = (
            f'Bearer realm="{self._server.url_for("/token")}",'
            'service="registry.example",scope="repository:acme/payment:pull"'
        )
        return Response(status=401, headers={"WWW-Authenticate": challenge})

    def list_tags(self, request: Request) -> Response:
        if refusal := self._refusal(request):
            return refusal
        start = self._tags.index(request.args["last"]) + 1 if "last" in request.args else 0
        page = self._tags[start : start + self._page_size]
        more = start + self._page_size < len(self._tags)
        link = f'</v2/acme/payment/tags/list?n=1000&last={page[-1]}>; rel="next"' if more else ""
        headers = {"Link": link} if link else {}
        return _json({"name": "acme/payment", "tags": page}, headers=headers)

    def index(self, request: Request) -> Response:
        entry = {
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "digest": self.digest_of("manifest"),
            "platform": {"architecture": "amd64", "os": "linux"},
        }
        document = {"schemaVersion": 2, "manifests": [entry]}
        headers = {"Docker-Content-Digest": self.digest_of("index")}
        return self._refusal(request) or _json(document, headers=headers)

    def manifest(self, request: Request) -> Response:
        document = {
            "schemaVersion": 2,
            "config": {"digest": self.digest_of("config")},
            "layers": [],
        }
        return self._refusal(request) or _json(document)

    def config(self, request: Request) -> Response:
        document = {"architecture": "amd64", "created": "2026-02-01T10:00:00.5Z"}
        return self._refusal(request) or _json(document)


def _json(document: Any, *, headers: Mapping[str, str] | None = None) -> Response:
    return Response(
        json.dumps(document), content_type="application/json", headers=dict(headers or {})
    )
