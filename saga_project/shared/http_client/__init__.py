"""The one guarded HTTP client: every call that Saga itself makes goes through it.

The syntax of a URL is checked when it is stored (``check_url``), its addresses when they are dialled: the
host is resolved once, every answer is checked, and the address that was checked is the one that is dialled.
The proxy of ``SAGA_HTTP_PROXY``, if any, is asked for the address that was checked (``proxies``); the
variables HTTP_PROXY and the like are ignored, and so is netrc. Each redirect is checked again, and an error
names the rule that was broken, never the address behind a name.

It stands on ``http.client`` because a socket can be handed to it: a deadline that the socket itself
keeps bounds the whole call, also where a server drips its headers byte by byte.
"""

from saga_project.shared.http_client.client import (
    Response,
    StreamedResponse,
    download,
    request,
    stream,
)
from saga_project.shared.http_client.errors import (
    TRANSIENT_STATUSES,
    AddressRefused,
    AnswerBroken,
    AnswerTooLarge,
    DownloadFailed,
    InvalidUrl,
    NoAnswer,
    TookTooLong,
    TooManyRedirects,
    is_transient,
)
from saga_project.shared.http_client.sockets import present_certificate
from saga_project.shared.http_client.urls import MAX_URL_LENGTH, address_of, check_url, masked

__all__ = [
    "MAX_URL_LENGTH",
    "TRANSIENT_STATUSES",
    "AddressRefused",
    "AnswerBroken",
    "AnswerTooLarge",
    "DownloadFailed",
    "InvalidUrl",
    "NoAnswer",
    "Response",
    "StreamedResponse",
    "TooManyRedirects",
    "TookTooLong",
    "address_of",
    "check_url",
    "download",
    "is_transient",
    "masked",
    "present_certificate",
    "request",
    "stream",
]
