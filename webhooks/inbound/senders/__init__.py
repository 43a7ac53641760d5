"""Foreign senders: one module each, with its payloads, its proof of the secret and its message ids."""

from __future__ import annotations

from webhooks.inbound.senders import (
    bitbucket,
    cloudevents,
    dockerhub,
    forgejo,
    ghcr,
    gitea,
    github,
    gitlab,
    gogs,
    harbor,
    oci,
    quay,
)
from webhooks.inbound.senders.messages import Message, Sender

__all__ = ["SENDERS", "Message", "Sender"]

_MODULES = (
    github,
    ghcr,
    gitlab,
    gitea,
    forgejo,
    gogs,
    bitbucket,
    dockerhub,
    quay,
    harbor,
    oci,
    cloudevents,
)
SENDERS: dict[str, Sender] = {module.SENDER.name: module.SENDER for module in _MODULES}
