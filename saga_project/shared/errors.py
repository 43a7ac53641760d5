"""The tree of errors in five kinds; this module knows no HTTP.

    SagaError
    ├── InvalidRequest   the caller must change the request
    ├── NotAllowed       the caller may not do this (NotAuthenticated: is not known)
    ├── NotFound         what was named does not exist
    ├── Conflict         it exists, but its state forbids this
    └── Unavailable      something that we need is gone; try again

A concrete error is two lines in its app's ``errors.py``, named as the state that it reports::

    class JobInProgress(Conflict):
        error = "Deployment in progress"
"""

from __future__ import annotations


class SagaError(Exception):
    """An error for the client: ``error`` is its short type, ``message`` says what to do."""

    error = "Error"
    default_retry_after_seconds: int | None = None

    def __init__(
        self, message: str = "", *, field: str | None = None, retry_after_seconds: int | None = None
    ) -> None:
        super().__init__(message or self.error)
        self.message = message or self.error
        self.field = field
        self.retry_after_seconds = retry_after_seconds or self.default_retry_after_seconds


class InvalidRequest(SagaError):
    error = "Invalid request"


class NotAllowed(SagaError):
    error = "Forbidden"


class NotAuthenticated(NotAllowed):
    error = "Unauthorized"


class NotFound(SagaError):
    error = "Not found"


class Conflict(SagaError):
    error = "Conflict"


class Unavailable(SagaError):
    error = "Unavailable"


class RedisUnavailable(Unavailable):
    error = "Redis is not available"


class DatabaseUnavailable(Unavailable):
    error = "Database is not available"
    default_retry_after_seconds = 1
