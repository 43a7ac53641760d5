"""The content of a notification, independent of the channel's format."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Callable, Mapping
from typing import Any

SEVERITIES = ("info", "warning", "error", "critical")


@dataclasses.dataclass(frozen=True)
class Notification:
    service_name: str
    message: str
    severity: str
    created_at: dt.datetime
    #: The console's page on the service; empty where SAGA_PUBLIC_URL is not set.
    link: str = ""
    #: Names the problem: messages with the same key are about the same one. Empty: this is about several.
    key: str = ""
    #: What programs read beside the text, such as the alerts that it reports.
    details: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    #: Links beside the one to the console: a label and an address each.
    actions: tuple[tuple[str, str], ...] = ()
    #: What buttons of the message stand for, where the channel has buttons.
    buttons: str = ""

    @property
    def links(self) -> list[tuple[str, str]]:
        """All links of the message, with their labels."""
        return [*self.actions, *([("Open in Saga", self.link)] if self.link else [])]

    @property
    def line(self) -> str:
        """The whole of it in one text, for people."""
        about = f"{self.service_name}: " if self.service_name else ""
        return f"[{self.severity.upper()}] {about}{self.message}"


def cut(text: str, limit: int, *, escape: Callable[[str], str] = str) -> str:
    """Return ``text`` escaped, with an ellipsis where it would exceed ``limit`` UTF-16 units.

    Platforms count after escaping, and an entity must not be cut in two, so characters are taken whole.
    """
    pieces: list[str] = []
    used, fits = 0, 0
    for character in text:
        piece = escape(character)
        used += len(piece.encode("utf-16-le")) // 2
        if used > limit:
            return "".join(pieces[:fits]) + "…"
        pieces.append(piece)
        if used < limit:
            fits = len(pieces)
    return "".join(pieces)
