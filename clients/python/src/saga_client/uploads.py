"""Upload an artifact in chunks: what is interrupted goes on where Saga has the last byte."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable
from typing import Any, BinaryIO

from saga_client import errors, transport

ATTEMPTS = 6
PAUSE_SECONDS = 0.5
ARCHIVES = (".tar", ".tar.gz", ".tgz", ".tar.xz", ".txz", ".tar.bz2", ".tbz2", ".tar.zst", ".zip")
Report = Callable[[int, int], None]


def upload(
    calls: transport.Transport, name: str, path: str, *, report: Report = lambda _sent, _size: None
) -> dict[str, str]:
    """Upload a file for a service, and return what a deployment of it says.

    That is ``artifact_url``, ``checksum`` and ``artifact_type``. ``report`` gets the stored and all bytes.
    Raises OSError for the file, UploadFailed where Saga found another digest.
    """
    with open(path, "rb") as file:  # noqa: PTH123 (pathlib costs the start)
        sha256, size = _digest(file)
        if not size:
            raise errors.UploadFailed(f"{path} is empty.")
        body = {
            "service_name": name,
            "sha256": sha256,
            "size": size,
            "name": os.path.basename(path)[:128],  # noqa: PTH119
        }
        artifact = _patiently(lambda: calls.call("POST", "/artifacts", body=body))
        while not artifact["is_complete"]:
            report(artifact["received"], size)
            artifact = _send(calls, artifact, file)
        report(size, size)
    if artifact["sha256"] != sha256:
        raise errors.UploadFailed(f"Saga stored sha256:{artifact['sha256']}, not sha256:{sha256}.")
    is_archive = path.lower().endswith(ARCHIVES)
    return {
        "artifact_url": f"{calls.url}{artifact['path']}",
        "checksum": f"sha256:{sha256}",
        "artifact_type": "archive" if is_archive else "binary",
    }


def _digest(file: BinaryIO) -> tuple[str, int]:
    digest, size = hashlib.sha256(), 0
    while True:
        data = file.read(1024 * 1024)
        if not data:
            return digest.hexdigest(), size
        digest.update(data)
        size += len(data)


def _send(calls: transport.Transport, artifact: dict[str, Any], file: BinaryIO) -> dict[str, Any]:
    path = f"/artifacts/{artifact['id']}"
    position = artifact["received"]
    file.seek(position)
    data = file.read(artifact["max_chunk_bytes"])
    if not data:
        raise errors.UploadFailed("The file became shorter while it was uploaded.")

    def put() -> Any:
        try:
            return calls.call("PUT", path, query={"offset": position}, content=data)
        except errors.Conflict:  # Another upload of the same file was faster.
            return calls.call("GET", path)

    return dict(_patiently(put))


def _patiently(call: Callable[[], Any]) -> Any:
    """Return what a call answers; Saga may be away for a while, and a call that arrived may come again."""
    pause = PAUSE_SECONDS
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return call()
        except (errors.Unreachable, errors.Unavailable, errors.TooManyRequests):
            if attempt == ATTEMPTS:
                raise
        time.sleep(pause)
        pause *= 2
    raise AssertionError("unreachable")
