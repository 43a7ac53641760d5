"""Have the service's own deployer install: one signed call, then its answer is polled.

The call is a Standard Webhooks POST of ``{"action": "install", "job_id", "service_name", "version",
"artifact_url", "artifact_type", "checksum", "target", "fence"}``. A deployer answers 200 when it is done, or
202 and then, to a GET of the ``status_url`` in its answer (default: the same URL with ``?job_id=``), with
``{"status": "running" | "succeeded" | "failed", "message", "progress"}``. It may get the same call
twice (the same ``webhook-id``, a higher fence) and should refuse a fence that is lower than one it has seen.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlencode, urljoin

import orjson

from saga_project.shared import errors, http_client, strict_json
from updates.artifacts.installers import staging
from updates.models import Release, Target
from updates.step_context import Outcome, StepContext, StepFailed

CALL_TIMEOUT_SECONDS = 30.0
POLL_SECONDS = 1.0
MAX_POLL_FAILURES = 30


def fetch_signed(context: StepContext) -> Outcome:
    """Fetch what the deployer will fetch, too: where a signature is due, we hold the artifact against it."""
    _check_type(context)
    if context.target.installer == Target.Installer.IMAGE:
        raise StepFailed("The policy asks for a signature, and there is none for images.")
    return staging.fetch(context)


def back_up(context: StepContext) -> Outcome:
    """The deployer keeps what it replaces; we only record what that is."""
    _check_type(context)
    previous = context.target.current_version or None
    message = (
        f"The deployer runs {previous}." if previous else "The deployer runs nothing of ours yet."
    )
    return Outcome(message=message, result={"previous": previous})


def _check_type(context: StepContext) -> None:
    if context.target.installer == Target.Installer.IMAGE and context.artifact_type != "image":
        raise StepFailed("An image target installs images; the artifact's type is another.")


def switch(context: StepContext) -> Outcome:
    """Have it installed; the deployer gets the digest of the artifact where Saga verified one."""
    if context.is_signature_required and not context.artifact_sha256:
        raise StepFailed("The policy asks for a signature, and none was verified; deploy it anew.")
    checksum = f"sha256:{context.artifact_sha256}" if context.artifact_sha256 else context.checksum
    return _install(context, version=context.version, url=context.artifact_url, checksum=checksum)


def restore(context: StepContext) -> Outcome:
    """Ask for the previous release; its artifact is the one that is on record."""
    if context.previous is None:
        return Outcome(message="Nothing ran there before.", is_skipped=True)
    release = Release.objects.filter(
        service=context.target.service, version=context.previous
    ).first()
    if release is None:
        return _install(context, version=context.previous, url="", checksum="")
    return _install(
        context,
        version=context.previous,
        url=release.artifact_url,
        checksum=release.checksum,
        artifact_type=release.artifact_type,
    )


def _install(
    context: StepContext, *, version: str, url: str, checksum: str, artifact_type: str = ""
) -> Outcome:
    body = orjson.dumps(
        {
            "action": "install",
            "job_id": context.job_id,
            "service_name": context.service_name,
            "version": version,
            "artifact_url": url,
            "artifact_type": artifact_type or context.artifact_type,
            "checksum": checksum or None,
            "target": context.target.name,
            "fence": context.fence,
        }
    )
    call_id = f"{context.job_id}.{context.step}"
    headers = {"Content-Type": "application/json", **_signature(context.target, call_id, body)}
    answer = _call("POST", context.target.deployer_url, headers=headers, body=body)
    if answer.status != 202:
        _check_status(answer.status)
        return _evaluate(_document(answer) or {"status": "succeeded"}, version)
    return _poll(context, _status_url(context, _document(answer)), version)


def _poll(context: StepContext, url: str, version: str) -> Outcome:
    ends_at = time.monotonic() + context.deadline_seconds
    failures = 0
    while time.monotonic() < ends_at:
        context.checkpoint()
        try:
            answer = _call("GET", url)
            _check_status(answer.status)
            document = _document(answer)
            failures = 0
        except StepFailed:
            failures += 1
            if failures >= MAX_POLL_FAILURES:
                raise
            document = {"status": "running"}
        if document.get("status") in ("succeeded", "failed"):
            return _evaluate(document, version)
        context.report(_percent(document), _message(document) or "The deployer is at it.")
        time.sleep(POLL_SECONDS)
    raise StepFailed(f"The deployer was not done within {context.deadline_seconds:.0f} s.")


def _evaluate(document: Mapping[str, Any], version: str) -> Outcome:
    message = _message(document)
    if document.get("status", "succeeded") != "succeeded":
        raise StepFailed(f"The deployer failed: {message or 'it does not say why'}.")
    return Outcome(message=message or f"The deployer installed {version}.")


def _message(document: Mapping[str, Any]) -> str:
    """Return what the deployer says, as PostgreSQL can hold it."""
    return strict_json.clean(str(document.get("message") or "")[:500])


def _percent(document: Mapping[str, Any]) -> int:
    progress = document.get("progress")
    is_number = isinstance(progress, int) and not isinstance(progress, bool)
    return max(0, min(99, progress)) if is_number and progress is not None else 0


def _status_url(context: StepContext, document: Mapping[str, Any]) -> str:
    place = document.get("status_url")
    url = context.target.deployer_url
    if isinstance(place, str) and place:
        return urljoin(url, place)
    return f"{url}{'&' if '?' in url else '?'}{urlencode({'job_id': context.job_id})}"


def _call(method: str, url: str, **options: Any) -> http_client.Response:
    try:
        return http_client.request(
            method, url, purpose="deployer", timeout_seconds=CALL_TIMEOUT_SECONDS, **options
        )
    except errors.SagaError as exc:
        raise StepFailed(f"The deployer could not be asked: {exc.message}") from exc


def _check_status(status: int) -> None:
    if not 200 <= status < 300:
        raise StepFailed(f"The deployer answered {status}.")


def _document(answer: http_client.Response) -> dict[str, Any]:
    try:
        document = orjson.loads(answer.body or b"{}")
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


def _signature(target: Target, call_id: str, body: bytes) -> dict[str, str]:
    """Sign as Standard Webhooks do; without a secret the call goes unsigned."""
    timestamp = str(int(time.time()))
    headers = {"webhook-id": call_id, "webhook-timestamp": timestamp}
    if target.deployer_secret:
        signed = f"{call_id}.{timestamp}.".encode() + body
        digest = hmac.new(_key(target.deployer_secret), signed, hashlib.sha256).digest()
        headers["webhook-signature"] = f"v1,{base64.b64encode(digest).decode()}"
    return headers


def _key(secret: str) -> bytes:
    if secret.startswith("whsec_"):
        return base64.b64decode(secret.removeprefix("whsec_"))
    return secret.encode()


STEPS: dict[str, Callable[[StepContext], Outcome]] = {
    "fetch": fetch_signed,
    "verify": staging.verify,
    "back up": back_up,
    "switch": switch,
    "restore": restore,
}
