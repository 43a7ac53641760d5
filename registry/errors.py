"""Errors of the registry, named after the state that they report."""

from __future__ import annotations

from saga_project.shared.errors import (
    Conflict,
    InvalidRequest,
    NotAllowed,
    NotAuthenticated,
    NotFound,
    Unavailable,
)


class ServiceNotFound(NotFound):
    error = "Service not found"


class InstanceNotFound(NotFound):
    """The service has live instances, and none meets the conditions."""

    error = "Instance not found"


class ServiceNotLive(InvalidRequest):
    """A heartbeat for what is not registered, or expired: its sender must register again."""

    error = "Service not found"


class ServiceRegistered(Conflict):
    error = "Service already registered"


class ServiceOwned(NotAllowed):
    error = "Service belongs to another account"


class OwnService(NotAllowed):
    """No account decides about its own service."""

    error = "Own service"


class HasSubscriptions(Conflict):
    error = "Service has subscriptions"


class IllegalMove(Conflict):
    """The service's status does not allow what was asked."""

    error = "Status does not allow this"


class SubscriptionNotFound(NotFound):
    error = "Subscription not found"


class UnknownScope(InvalidRequest):
    error = "Unknown scope"


class ScopeNotGranted(InvalidRequest):
    """A token may never do more than its account."""

    error = "Scope not granted to the account"


class TokenOwned(NotAllowed):
    error = "Token belongs to another account"


class InvalidExpiry(InvalidRequest):
    error = "Invalid expiry"


class InvalidAccountName(InvalidRequest):
    error = "Invalid account name"


class TokenRefused(NotAuthenticated):
    error = "Invalid token"


class TokenMissing(NotAuthenticated):
    error = "Token required"


class CrossSiteRequest(NotAllowed):
    error = "Cross-site request refused"


class ScopeMissing(NotAllowed):
    error = "Scope missing"


class ServiceAccountRequired(NotAllowed):
    error = "Service account required"


class ServiceNotGranted(NotAllowed):
    """The account may touch some services only, and this is none of them."""

    error = "Service not granted to the account"


class InvalidCursor(InvalidRequest):
    error = "Invalid cursor"


class CursorTooOld(NotFound):
    """Events after the cursor were purged; the reader must begin again."""

    error = "Cursor too old"
    status = 410


class InvalidWait(InvalidRequest):
    error = "Invalid wait"


class InvalidType(InvalidRequest):
    error = "Invalid type"


class TooManyStreams(Unavailable):
    error = "Too many streams"


class NothingToAccept(InvalidRequest):
    """A subscription to a pattern keeps no service registered, so no owner accepts it."""

    error = "Nothing to accept"


class SubscriptionOwned(NotAllowed):
    error = "Subscription belongs to another account"


class IllegalSubscriptionMove(Conflict):
    error = "State does not allow this"


class SubscriptionEnded(Conflict):
    """A cancelled subscription has ended for good."""

    error = "Subscription has ended"


class SubscriptionDiffers(Conflict):
    error = "Subscription is another one"


class SubscriptionAmbiguous(Conflict):
    """A subscriber may have several subscriptions to a service."""

    error = "Several subscriptions"


class NotProtecting(Conflict):
    error = "Nothing is held back"


class InvalidIdempotencyKey(InvalidRequest):
    error = "Invalid Idempotency-Key"


class IdempotencyKeyUsed(Conflict):
    error = "Idempotency-Key was used with another request"


class IdempotencyKeyRunning(Conflict):
    error = "Request is still being processed"


class IdempotencyKeyAnswered(Conflict):
    """A request with the same key was first; the caller gets its answer."""

    error = "Request was answered before"


class GlobalRowOwned(NotAllowed):
    """What concerns every service is the administrators'."""

    error = "Administrator required"


class SelectorOwned(NotAllowed):
    """Which services a selector selects is the administrators' to say, in open mode as well."""

    error = "Administrator required"


class LabelSelected(NotAllowed):
    """A rule of the administrators selects services by this label."""

    error = "Label selects rules"


class InvalidRow(InvalidRequest):
    error = "Invalid value"


class RowExists(Conflict):
    error = "Already exists"


class PersonNotFound(NotFound):
    error = "Person not found"


class PersonProtected(NotAllowed):
    error = "Person is protected"
