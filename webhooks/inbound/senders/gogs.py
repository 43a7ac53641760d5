"""Gogs's payloads, which are Gitea's under headers of its own; pure."""

from __future__ import annotations

from webhooks.inbound.senders import gitea

SENDER = gitea.sender("gogs", "Gogs")
