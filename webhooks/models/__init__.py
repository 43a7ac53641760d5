"""Inbound calls, deliveries, and their configuration."""

from webhooks.models.alert import MAX_SUBJECT_LENGTH, Alert, AlertCursor, Flapping
from webhooks.models.approval_link import ApprovalLink
from webhooks.models.configuration import GLOBAL, MAX_CHANNEL_LENGTH, Configuration, Endpoint
from webhooks.models.delivery import Attempt, Delivery, lease_end, receiver_of
from webhooks.models.github_hook import GitHubHook
from webhooks.models.inbound_call import MAX_MESSAGE_ID_LENGTH, InboundCall
from webhooks.models.notification_rule import NotificationRule, Severity
from webhooks.models.receiver import Receiver

__all__ = [
    "GLOBAL",
    "MAX_CHANNEL_LENGTH",
    "MAX_MESSAGE_ID_LENGTH",
    "MAX_SUBJECT_LENGTH",
    "Alert",
    "AlertCursor",
    "ApprovalLink",
    "Attempt",
    "Configuration",
    "Delivery",
    "Endpoint",
    "Flapping",
    "GitHubHook",
    "InboundCall",
    "NotificationRule",
    "Receiver",
    "Severity",
    "lease_end",
    "receiver_of",
]
