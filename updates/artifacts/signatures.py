"""The signed statement of a release: service, version, digest, size and expiry.

The signature is one of minisign's, over the artifact; the statement is its trusted comment, which
minisign signs too::

    minisign -S -m shop.tar.gz \\
        -t 'service=shop version=1.3.0 sha256=… size=… expires=2027-01-31T00:00:00Z'
"""

from __future__ import annotations

import datetime as dt
import hmac
from collections.abc import Mapping, Sequence

import minisign

from updates.artifacts.store import Artifact
from updates.models import Job
from updates.step_context import StepContext, StepFailed

FIELDS = ("service", "version", "sha256", "size", "expires")


def verify(context: StepContext, artifact: Artifact, *, now: dt.datetime | None = None) -> str:
    """Return a sentence that names the signer; raises StepFailed unless the statement fits this release."""
    if not context.signature:
        raise StepFailed("The policy asks for a signature, and this release has none.")
    statement = _verified_statement(context, artifact)
    fields = dict(part.partition("=")[::2] for part in statement.split())
    missing = [name for name in FIELDS if not fields.get(name)]
    if missing:
        raise StepFailed(f"The signed statement says nothing on {', '.join(missing)}.")
    _check_fields(fields, context, artifact)
    if (
        context.kind == Job.Kind.DEPLOY
    ):  # what is gone back to was accepted while the statement held
        _check_expiry(fields["expires"], now or dt.datetime.now(dt.UTC))
    return "The signature is valid."


def expiry_of(signature: str) -> dt.datetime | None:
    """Return when the statement in a signature ends, unverified; None where it does not say."""
    try:
        comment = str(minisign.Signature.from_bytes(signature.encode()).trusted_comment)
    except (minisign.Error, ValueError):
        return None
    fields = dict(part.partition("=")[::2] for part in comment.split())
    try:
        return _moment(fields.get("expires", ""))
    except ValueError:
        return None


def _moment(text: str) -> dt.datetime:
    moment = dt.datetime.fromisoformat(text)
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=dt.UTC)


def _verified_statement(context: StepContext, artifact: Artifact) -> str:
    try:
        signature = minisign.Signature.from_bytes(context.signature.encode())
    except (minisign.Error, ValueError) as exc:
        raise StepFailed("The signature cannot be read as one of minisign's.") from exc
    if not signature.is_prehashed():
        raise StepFailed("The signature is of minisign's old kind; sign again without -l.")
    if not _is_signed_by_any(context.signing_keys, signature, artifact):
        raise StepFailed("The signature fits none of the keys that the policy names.")
    return str(signature.trusted_comment)


def _is_signed_by_any(
    keys: Sequence[str], signature: minisign.Signature, artifact: Artifact
) -> bool:
    return any(_is_signed_by(key, signature, artifact) for key in keys)


def _is_signed_by(key: str, signature: minisign.Signature, artifact: Artifact) -> bool:
    try:
        with artifact.path.open("rb") as file:
            minisign.PublicKey.from_base64(key).verify(file, signature)
    except (minisign.Error, ValueError):
        return False
    return True


def _check_fields(fields: Mapping[str, str], context: StepContext, artifact: Artifact) -> None:
    expected = {
        "service": context.service_name,
        "version": context.version,
        "sha256": artifact.sha256,
        "size": str(artifact.size),
    }
    for name, value in expected.items():
        if not hmac.compare_digest(fields[name].encode(), value.encode()):
            raise StepFailed(f"The signed statement is about another {name}.")


def _check_expiry(text: str, now: dt.datetime) -> None:
    try:
        expires_at = _moment(text)
    except ValueError:
        raise StepFailed("The signed statement's expiry is no date.") from None
    if expires_at <= now:
        raise StepFailed(f"The signed statement expired at {text}.")
