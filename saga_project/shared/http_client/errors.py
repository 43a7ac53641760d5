"""Errors of outgoing calls; the messages name the rule, never the address."""

from __future__ import annotations

from saga_project.shared import errors


class InvalidUrl(errors.InvalidRequest):
    error = "Invalid service URL"


class AddressRefused(errors.InvalidRequest):
    error = "Address refused"


class NoAnswer(errors.Unavailable):
    error = "No answer"


class TookTooLong(NoAnswer):
    error = "No answer in time"


class AnswerTooLarge(errors.Unavailable):
    error = "Answer too large"


class AnswerBroken(errors.Unavailable):
    error = "Answer broken"


class TooManyRedirects(errors.Unavailable):
    error = "Too many redirects"


class DownloadFailed(errors.Unavailable):
    error = "Download failed"

    def __init__(self, message: str, *, answer_status: int) -> None:
        super().__init__(message)
        self.answer_status = answer_status


#: Statuses by which a server says that the same call may succeed later.
TRANSIENT_STATUSES = frozenset({408, 425, 429, 500, 502, 503, 504})


def is_transient(error: errors.SagaError) -> bool:
    """Whether the same call may succeed a little later."""
    if isinstance(error, DownloadFailed):
        return error.answer_status in TRANSIENT_STATUSES
    return isinstance(error, NoAnswer | AnswerBroken)
