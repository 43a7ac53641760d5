"""An OCI source and the sender ``oci`` against CNCF Distribution, as Debian's docker-registry packages it."""

from __future__ import annotations

import hashlib
import json
import queue
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from django.utils import timezone
from pytest_httpserver import HTTPServer
from rest_framework.test import APIClient
from werkzeug import Request, Response

from registry.identity import accounts
from registry.models import Service
from tests import factories
from updates import operations
from updates.models import Release
from webhooks import operations as webhook_operations

REGISTRY = shutil.which("docker-registry") or ""
pytestmark = [
    pytest.mark.skipif(
        not REGISTRY,
        reason="docker-registry is not installed (Debian: apt install docker-registry)",
    ),
    pytest.mark.django_db,
    pytest.mark.usefixtures("redis"),
]
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
SECRET = "a long secret of payment"
CONFIGURATION = """\
version: 0.1
log: {{level: info, formatter: json, accesslog: {{disabled: true}}}}
storage: {{filesystem: {{rootdirectory: {folder}}}, delete: {{enabled: true}}}}
http: {{addr: "127.0.0.1:0"}}
notifications:
  endpoints:
    - name: saga
      url: "{url}"
      headers: {{Authorization: ["Bearer {secret}"]}}
      timeout: 5s
      threshold: 5
      backoff: 1s
"""


@pytest.fixture
def notifications() -> queue.Queue[Request]:
    return queue.Queue()


@pytest.fixture
def base_url(
    tmp_path: Path, httpserver: HTTPServer, notifications: queue.Queue[Request]
) -> Iterator[str]:
    """Address of a registry that reports pushes to ``notifications``; it logs its port when it listens."""

    def take(request: Request) -> Response:
        request.get_data()
        notifications.put(request)
        return Response()

    httpserver.expect_request("/notify").respond_with_handler(take)
    text = CONFIGURATION.format(
        folder=tmp_path / "data", url=httpserver.url_for("/notify"), secret=SECRET
    )
    (tmp_path / "config.yml").write_text(text)
    server = subprocess.Popen(
        [REGISTRY, "serve", str(tmp_path / "config.yml")],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert server.stderr is not None
    with server:
        messages = (json.loads(line).get("msg", "") for line in server.stderr if line[:1] == "{")
        address = next(text for text in messages if text.startswith("listening on "))
        yield f"http://{address.removeprefix('listening on ')}"
        server.kill()


def _push(base_url: str, *tags: str) -> str:
    """Push one image under these tags, as ``docker push`` does; return its digest."""
    image = f"{base_url}/v2/acme/payment"
    config = json.dumps({"created": "2026-02-01T10:00:00Z", "tags": tags}).encode()
    digest = f"sha256:{hashlib.sha256(config).hexdigest()}"
    place = requests.post(f"{image}/blobs/uploads/", timeout=10).headers["Location"]
    requests.put(place, params={"digest": digest}, data=config, timeout=10).raise_for_status()
    descriptor = {
        "mediaType": "application/vnd.oci.image.config.v1+json",
        "digest": digest,
        "size": len(config),
    }
    manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "config": descriptor, "layers": []}
    for tag in tags:
        pushed = requests.put(
            f"{image}/manifests/{tag}",
            data=json.dumps(manifest),
            headers={"Content-Type": MANIFEST},
            timeout=10,
        )
        pushed.raise_for_status()
    return pushed.headers["Docker-Content-Digest"]


def _service(base_url: str) -> Service:
    service = factories.ServiceFactory.create(name="payment", version="1.9.0")
    host = base_url.removeprefix("http://")
    factories.SourceFactory.create(
        service=service, kind="oci", location=f"{host}/acme/payment", base_url=base_url
    )
    return service


def test_images_of_a_registry_are_read_and_a_deleted_one_is_withdrawn(base_url: str) -> None:
    _push(base_url, "1.9.0", "latest")
    newest = _push(base_url, "1.10.0")
    service = _service(base_url)

    before = operations.check(service).latest_version
    release = Release.objects.get(version="1.10.0")
    requests.delete(f"{base_url}/v2/acme/payment/manifests/{newest}", timeout=10)
    after = operations.check(service).latest_version

    assert (before, after) == ("1.10.0", "1.9.0")
    assert (release.checksum, str(release.published_at)) == (newest, "2026-02-01 10:00:00+00:00")
    release.refresh_from_db()
    assert release.state == Release.State.WITHDRAWN


def test_notification_of_a_push_is_recorded(
    api: APIClient, base_url: str, notifications: queue.Queue[Request], settings: Any
) -> None:
    settings.SAGA_AUTH = "required"
    _service(base_url)
    webhook_operations.configure(
        "payment", endpoints=None, secret=SECRET, by=accounts.staff("root"), now=timezone.now()
    )
    digest = _push(base_url, "1.10.0")

    answers = [_forward(api, notifications.get(timeout=30)) for _ in range(2)]

    # The registry reports the configuration's blob and of the manifest, which alone has a tag.
    assert {answer.status_code for answer in answers} == {202}
    assert Release.objects.get().checksum == digest


def _forward(client: APIClient, request: Request) -> Any:
    """Hand what the registry sent to Saga, byte by byte."""
    return client.generic(
        "POST",
        "/api/v1/webhooks/from/oci/payment",
        request.get_data(as_text=True),
        content_type=request.content_type or "",
        headers={"Authorization": request.headers["Authorization"]},
    )
