"""Errors of webhooks, named after the state that they report."""

from __future__ import annotations

from saga_project.shared.errors import (
    Conflict,
    InvalidRequest,
    NotAllowed,
    NotAuthenticated,
    NotFound,
    Unavailable,
)


class InvalidSignature(NotAuthenticated):
    """The same words for every way to fail: they must not reveal which it was."""

    error = "Invalid signature"

    def __init__(self) -> None:
        super().__init__("The call carries no valid signature of the service's secret.")


class TimestampRequired(NotAuthenticated):
    """The service's owner accepts no signature that could be sent again."""

    error = "Invalid signature"

    def __init__(self) -> None:
        super().__init__(
            "The service asks for a timestamped signature: send the Standard Webhooks headers webhook-id,"
            " webhook-timestamp and webhook-signature."
        )


class SignatureUsed(Conflict):
    """A body and its signature act on one route; sent to another, they were captured."""

    error = "Signature already used"


class InvalidMessageId(InvalidRequest):
    error = "Invalid message id"


class InvalidTimestamp(InvalidRequest):
    error = "Invalid timestamp"


class InvalidSecret(InvalidRequest):
    error = "Invalid secret"


class AlertNotFound(NotFound):
    error = "Alert not found"


class AlertEnded(Conflict):
    error = "Alert has ended"


class LinkUnknown(NotFound):
    error = "Link not found"


class LinkSpent(Conflict):
    """A link that was used, expired, or is about a request that is decided."""

    error = "Link not usable"


class ApproverRefused(NotAllowed):
    error = "Approver refused"


class InvalidChannel(InvalidRequest):
    error = "Invalid channel"


class ChannelNotConfigured(InvalidRequest):
    error = "Channel not configured"


class NothingToConfigure(InvalidRequest):
    error = "Nothing to configure"


class GlobalConfigurationOwned(NotAllowed):
    """What concerns all services is an administrator's to set."""

    error = "Administrator required"


class ConfigurationNotFound(NotFound):
    error = "Webhook configuration not found"


class ChannelExists(Conflict):
    """A configuration has one channel of a name."""

    error = "Already exists"


class ChannelNotFound(NotFound):
    error = "Channel not found"


class ReceiverNotFound(NotFound):
    error = "Receiver not found"


class SenderNotFound(NotFound):
    error = "Sender not found"


class MessageDiffers(Conflict):
    """A message id acts once; this body is not the one that came with it first."""

    error = "Message id already used"


class ReplayNotAllowed(NotAllowed):
    """A replay takes the permission that its effect takes."""

    error = "Replay not allowed"


class NotReplayable(Conflict):
    error = "Call cannot be replayed"


class RecoveryFailed(Unavailable):
    error = "GitHub's deliveries could not be read"
    status = 502


class DeliveryNotKept(RecoveryFailed):
    """Of one message, not of the API: the others can still be had."""

    error = "GitHub did not keep the delivery"


class NotificationRejected(Unavailable):
    error = "Notification rejected"
    status = 502


class DeliveryNotDead(Conflict):
    """Only a delivery that Saga gave up is sent again."""

    error = "Delivery is not dead"
