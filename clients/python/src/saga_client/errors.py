"""The errors of this library.

SagaError
├── Unreachable          no answer: refused, timed out, or no such host
├── InvalidSignature     a webhook that the secret does not verify
├── NoInstance           discovery knows no instance that fits
├── UploadFailed         an artifact that cannot be uploaded as it is
└── ApiError             Saga answered with an error
    ├── InvalidRequest       400, 415, 422 and other 4xx
    ├── NotAuthenticated     401
    ├── NotAllowed           403
    ├── NotFound             404
    ├── Conflict             409, 412
    ├── TooManyRequests      429
    └── Unavailable          5xx
"""

from __future__ import annotations

from typing import Any


class SagaError(Exception):
    """An error that a program may handle; its text says what is wrong."""


class Unreachable(SagaError):
    """Saga gave no answer."""


class InvalidSignature(SagaError):
    """The signature, the secret or the timestamp of a webhook is wrong."""


class NoInstance(SagaError):
    """No live instance fits what was asked for."""


class UploadFailed(SagaError):
    """The file is empty, changed while it was uploaded, or Saga stored another one."""


class ApiError(SagaError):
    """Saga's answer: ``status``, ``error`` (short type), ``message``, ``request_id``, ``document``."""

    def __init__(
        self,
        status: int,
        *,
        error: str,
        message: str,
        request_id: str | None = None,
        document: Any = None,
    ) -> None:
        super().__init__(f"{error}: {message}" if message and message != error else error)
        self.status = status
        self.error = error
        self.message = message or error
        self.request_id = request_id
        self.document = document


class InvalidRequest(ApiError):
    """The request must change."""


class NotAuthenticated(ApiError):
    """The token is missing, unknown or expired."""


class NotAllowed(ApiError):
    """The token may not do this."""


class NotFound(ApiError):
    """What the request names does not exist."""


class Conflict(ApiError):
    """It exists, and its state forbids this."""


class TooManyRequests(ApiError):
    """The limit of requests is reached."""


class Unavailable(ApiError):
    """Saga, or a server that it needs, is away for now."""


_BY_STATUS = {
    401: NotAuthenticated,
    403: NotAllowed,
    404: NotFound,
    409: Conflict,
    412: Conflict,
    429: TooManyRequests,
}


def of_answer(status: int, document: Any, *, request_id: str | None) -> ApiError:
    """Return the error that this answer is, in either dialect."""
    error, message = f"HTTP {status}", ""
    if isinstance(document, dict):
        error = document.get("error", error)
        message = document.get("message", "")
        if isinstance(error, dict):  # the ScaiControl dialect
            error, message = error.get("code", ""), error.get("message", "")
        elif "detail" in document:
            message = message or str(document["detail"])
    kind = Unavailable if status >= 500 else _BY_STATUS.get(status, InvalidRequest)
    return kind(
        status, error=str(error), message=str(message), request_id=request_id, document=document
    )
