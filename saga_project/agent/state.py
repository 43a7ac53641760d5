"""What an agent keeps on its disk: its identity, which fences it has seen, and what came of its orders."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import ssl
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import certifi

OUTCOME_KEPT_SECONDS = 86_400


@dataclass(frozen=True, kw_only=True)
class Identity:
    """The node that this host is; the file is readable by its owner only."""

    server: str
    node: str
    token: str
    public_key: str
    #: Files of the certificate that the server asks of this host, and of its key; empty without one.
    certificate: str = ""
    key: str = ""

    def tls(self) -> ssl.SSLContext | None:
        """Return what presents the certificate, None without one. Raises OSError for unusable files."""
        if not self.certificate:
            return None
        context = ssl.create_default_context()
        context.load_verify_locations(certifi.where())
        context.load_cert_chain(self.certificate, self.key)
        return context


class AgentState:
    """The agent's folder. Each file is there whole, or as it was before."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def read_identity(self) -> Identity | None:
        """Return the identity, None before the host joined."""
        document = _read(self.folder / "identity.json")
        return Identity(**document) if document else None

    def write_identity(self, identity: Identity) -> None:
        _write(self.folder / "identity.json", asdict(identity))

    def raise_fence(self, subject: str, fence: int) -> bool:
        """Keep the highest fence of a subject; False for one that is lower."""
        file = self.folder / "fences" / _name(subject)
        highest = int((_read(file) or {}).get("fence", 0))
        if fence > highest:
            _write(file, {"subject": subject, "fence": fence})
        return fence >= highest

    def outcome_of(self, order_id: str) -> dict[str, Any] | None:
        """Return what came of an order that was done before."""
        return _read(self.folder / "outcomes" / _name(order_id))

    def keep_outcome(self, order_id: str, outcome: dict[str, Any]) -> None:
        """Keep an outcome for a day, so that the same order is never done twice once it was done."""
        folder = self.folder / "outcomes"
        _write(folder / _name(order_id), outcome)
        for file in folder.iterdir():
            with contextlib.suppress(FileNotFoundError):
                if time.time() - file.stat().st_mtime > OUTCOME_KEPT_SECONDS:
                    file.unlink()


def _name(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:40] + ".json"


def _read(file: Path) -> dict[str, Any] | None:
    try:
        return dict(json.loads(file.read_text()))
    except FileNotFoundError:
        return None


def _write(file: Path, document: dict[str, Any]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = file.with_name(f".{file.name}.part")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as opened:
        json.dump(document, opened)
        opened.flush()
        os.fsync(opened.fileno())
    draft.replace(file)
    parent = os.open(file.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(parent)
    finally:
        os.close(parent)
