"""Inbound calls, deliveries, and their configuration."""

from webhooks.models.configuration import GLOBAL, MAX_CHANNEL_LENGTH, Configuration, Endpoint
from webhooks.models.delivery import Attempt, Delivery, lease_end, receiver_of
from webhooks.models.github_hook import GitHubHook
from webhooks.models.inbound_call import MAX_MESSAGE_ID_LENGTH, InboundCall

__all__ = [
    "GLOBAL",
    "MAX_CHANNEL_LENGTH",
    "MAX_MESSAGE_ID_LENGTH",
    "Attempt",
    "Configuration",
    "Delivery",
    "Endpoint",
    "GitHubHook",
    "InboundCall",
    "lease_end",
    "receiver_of",
]
