from __future__ import annotations

import datetime as dt
import hashlib
from pathlib import Path

import minisign
import pytest

from updates.artifacts import signatures, store
from updates.models import Target
from updates.step_context import StepContext, StepFailed

NOW = dt.datetime(2026, 3, 2, tzinfo=dt.UTC)
CONTENT = b"an artifact"
DIGEST = hashlib.sha256(CONTENT).hexdigest()
KEYS = minisign.KeyPair.generate()
OTHER_KEYS = minisign.KeyPair.generate()
FIELDS = {
    "service": "shop",
    "version": "2.0.0",
    "sha256": DIGEST,
    "size": str(len(CONTENT)),
    "expires": "2027-01-31T00:00:00Z",
}


def sign(keys: minisign.KeyPair = KEYS, content: bytes = CONTENT, **changes: str | None) -> str:
    fields = {**FIELDS, **changes}
    statement = " ".join(f"{name}={value}" for name, value in fields.items() if value is not None)
    signature = keys.secret_key.sign(content, prehash=True, trusted_comment=statement)
    return bytes(signature).decode()


def verify(
    tmp_path: Path, signature: str, *, content: bytes = CONTENT, kind: str = "deploy"
) -> str:
    path = tmp_path / "artifact"
    path.write_bytes(content)
    artifact = store.Artifact(path=path, sha256=DIGEST, size=len(CONTENT))
    context = StepContext(
        service_name="shop",
        kind=kind,
        version="2.0.0",
        job_id="deploy-shop-2.0.0-1",
        target=Target(),
        fence=1,
        deadline_seconds=10,
        signature=signature,
        signing_keys=(
            OTHER_KEYS.public_key.to_base64().decode(),
            KEYS.public_key.to_base64().decode(),
        ),
    )
    return signatures.verify(context, artifact, now=NOW)


def test_accepts_what_one_of_the_keys_signed(tmp_path: Path) -> None:
    assert verify(tmp_path, sign()) == "The signature is valid."


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"service": "other"}, "another service"),
        ({"version": "1.0.0"}, "another version"),
        ({"sha256": "0" * 64}, "another sha256"),
        ({"size": "12"}, "another size"),
        ({"expires": "2026-01-01T00:00:00Z"}, "expired"),
        ({"expires": "soon"}, "no date"),
        ({"expires": None}, "nothing on expires"),
        ({"service": None, "size": None}, "nothing on service, size"),
    ],
)
def test_refuses_statements_about_something_else(
    tmp_path: Path, changes: dict[str, str | None], reason: str
) -> None:
    with pytest.raises(StepFailed, match=reason):
        verify(tmp_path, sign(KEYS, CONTENT, **changes))


def test_refuses_a_key_that_the_policy_does_not_name(tmp_path: Path) -> None:
    with pytest.raises(StepFailed, match="none of the keys"):
        verify(tmp_path, sign(minisign.KeyPair.generate()))


def test_refuses_another_file_than_was_signed(tmp_path: Path) -> None:
    with pytest.raises(StepFailed, match="none of the keys"):
        verify(tmp_path, sign(), content=b"something else")


def test_refuses_a_statement_that_was_changed_after_it_was_signed(tmp_path: Path) -> None:
    with pytest.raises(StepFailed, match="none of the keys"):
        verify(tmp_path, sign(version="1.9.9").replace("version=1.9.9", "version=2.0.0"))


@pytest.mark.parametrize("signature", ["", "rubbish", "untrusted comment: x\nAAAA\n"])
def test_refuses_what_is_no_signature(tmp_path: Path, signature: str) -> None:
    with pytest.raises(StepFailed, match=r"has none|cannot be read"):
        verify(tmp_path, signature)


def test_rollback_target_was_verified_when_it_was_deployed(tmp_path: Path) -> None:
    expired = sign(expires="2026-01-01T00:00:00Z")

    assert verify(tmp_path, expired, kind="rollback") == "The signature is valid."
