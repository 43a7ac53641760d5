"""Why an archive was refused: ``reason`` is a short fixed phrase, the text names the entry."""

from __future__ import annotations


class HostileArchive(Exception):
    def __init__(self, reason: str, name: str = "") -> None:
        where = f": {name[:200]!a}" if name else ""
        super().__init__(f"The archive was refused: {reason}{where}.")
        self.reason = reason
