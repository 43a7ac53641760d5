"""One exchange: send, follow redirects that were checked, read within bounds."""

from __future__ import annotations

import contextlib
import dataclasses
import http.client
import ssl
import time
import urllib.parse
from collections.abc import Iterator, Mapping

from django.conf import settings

from saga_project.shared import errors
from saga_project.shared.http_client import proxies, sockets, urls
from saga_project.shared.http_client.errors import (
    AnswerBroken,
    AnswerTooLarge,
    DownloadFailed,
    InvalidUrl,
    NoAnswer,
    TookTooLong,
    TooManyRedirects,
)
from saga_project.shared.http_client.urls import Url

MAX_ANSWER_BYTES = 1024 * 1024
CHUNK_BYTES = 64 * 1024
#: A download that brings nothing for so long is over, and so is one that is slower than the least rate.
STALL_SECONDS = 15.0
LEAST_BYTES_PER_SECOND = 1024
RATE_WINDOW_SECONDS = 30.0
REDIRECTS = frozenset({301, 302, 303, 307, 308})


@dataclasses.dataclass(frozen=True)
class Response:
    """An answer; header names are in lower case, the body is as it came (never decompressed)."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    is_truncated: bool = False


@dataclasses.dataclass(frozen=True)
class StreamedResponse:
    """An answer with a body still to read; ``size`` is the declared length, if any."""

    status: int
    headers: Mapping[str, str]
    size: int | None
    chunks: Iterator[bytes]


@contextlib.contextmanager
def translated(purpose: str) -> Iterator[None]:
    """Translate a network error; the message holds nothing of the URL or the headers."""
    try:
        yield
    except TimeoutError:
        raise TookTooLong(f"The {purpose} URL did not answer in time.") from None
    except ssl.SSLCertVerificationError:
        raise NoAnswer(f"The {purpose} URL's certificate cannot be trusted.") from None
    except http.client.RemoteDisconnected:
        raise NoAnswer(f"The {purpose} URL closed the connection without an answer.") from None
    except http.client.HTTPException:
        raise AnswerBroken(f"The {purpose} URL's answer is not HTTP, or was cut short.") from None
    except OSError:
        raise NoAnswer(f"The {purpose} URL could not be reached.") from None
    except ValueError:
        # http.client quotes the header that it refuses, and a header may be a secret.
        raise errors.InvalidRequest(
            f"A header for the {purpose} URL has characters that HTTP does not allow."
        ) from None


def _send(
    method: str,
    url: Url,
    headers: Mapping[str, str],
    body: bytes | None,
    deadline: sockets.Deadline,
) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
    connection = http.client.HTTPConnection(url.host, url.port)
    connection.auto_open = 0
    own = {
        "Host": url.authority,
        "User-Agent": f"Saga/{settings.SAGA_VERSION}",
        "Accept-Encoding": "identity",
        "Connection": "close",
    }
    try:
        with translated(deadline.purpose):
            line = sockets.dial(url, deadline)
            connection.sock = line.socket
            target = line.before_path + url.target
            connection.request(method, target, body, {**own, **headers, **line.headers})
            answer = connection.getresponse()
            if line.before_path:
                proxies.check_status(answer.status)
            return connection, answer
    except BaseException:
        connection.close()
        raise


@contextlib.contextmanager
def _exchange(
    method: str,
    url: str,
    *,
    headers: Mapping[str, str],
    body: bytes | None,
    follow_redirects: int,
    deadline: sockets.Deadline,
) -> Iterator[http.client.HTTPResponse]:
    """Yield the answer, its body unread; follows redirects of GET and HEAD, each checked from scratch."""
    here, sent = urls.parse(url, field=f"{deadline.purpose} URL"), dict(headers)
    for hop in range(follow_redirects + 1):
        connection, answer = _send(method, here, sent, body, deadline)
        with contextlib.closing(connection), contextlib.closing(answer):
            place = answer.headers.get("Location")
            is_followed = follow_redirects > 0 and method in {"GET", "HEAD"}
            if answer.status not in REDIRECTS or place is None or not is_followed:
                yield answer
                return
            if hop == follow_redirects:
                break
        there = urls.parse(_join(here, place), field="redirect")
        if here.scheme == "https" and there.scheme == "http":
            raise InvalidUrl(f"The {deadline.purpose} URL redirects from https to http.")
        if there.origin != here.origin:
            # Headers meant for one host are not sent to another.
            sent = {name: sent[name] for name in sent if name.lower() in {"accept", "range"}}
        here = there
    raise TooManyRedirects(f"The {deadline.purpose} URL redirects too often.")


def _join(here: Url, place: str) -> str:
    try:
        return urllib.parse.urljoin(str(here), place)
    except ValueError:
        raise InvalidUrl("'redirect' is not a URL.", field="redirect") from None


def _chunks(
    answer: http.client.HTTPResponse, *, max_bytes: int, purpose: str, size: int
) -> Iterator[bytes]:
    """Yield the body; one that is longer than allowed or shorter than declared raises before its end."""
    declared, received = answer.length, 0
    too_large = AnswerTooLarge(f"The {purpose} URL's answer has more than {max_bytes:,} bytes.")
    if declared is not None and declared > max_bytes:
        raise too_large
    while True:
        try:
            with translated(purpose):
                # What has come is given at once, so that the reader can measure the rate.
                chunk = answer.read1(size)
        except TookTooLong:
            raise TookTooLong(f"The {purpose} URL's answer did not end in time.") from None
        if not chunk:
            break
        received += len(chunk)
        if received > max_bytes:
            raise too_large
        yield chunk
    if declared is not None and received != declared:
        raise AnswerBroken(f"The {purpose} URL's answer was cut short.")


def _fast_enough(chunks: Iterator[bytes], purpose: str) -> Iterator[bytes]:
    """Yield the chunks; raises TookTooLong where a window of time brought too few bytes."""
    began_at, received = time.monotonic(), 0
    for chunk in chunks:
        received += len(chunk)
        seconds = time.monotonic() - began_at
        if seconds >= RATE_WINDOW_SECONDS:
            if received < LEAST_BYTES_PER_SECOND * seconds:
                raise TookTooLong(
                    f"The {purpose} URL sends less than {LEAST_BYTES_PER_SECOND} bytes per second."
                )
            began_at, received = time.monotonic(), 0
        yield chunk


def _headers(answer: http.client.HTTPResponse) -> dict[str, str]:
    return {name.lower(): value for name, value in answer.headers.items()}


def request(
    method: str,
    url: str,
    *,
    purpose: str,
    headers: Mapping[str, str] | None = None,
    body: bytes | None = None,
    timeout_seconds: float = 10.0,
    max_bytes: int = MAX_ANSWER_BYTES,
    truncate: bool = False,
    follow_redirects: int = 0,
) -> Response:
    """Make one call, bounded in time from the look-up of the host to the last byte of the answer.

    ``purpose`` is the word that errors use for the URL ("artifact", "callback"). Any status is an answer.
    With ``truncate``, no more than ``max_bytes`` are read and what happens to the rest is no error.
    Raises InvalidUrl, AddressRefused, NoAnswer, TookTooLong, AnswerTooLarge, AnswerBroken, TooManyRedirects.
    """
    deadline = sockets.Deadline(timeout_seconds, purpose=purpose)
    with _exchange(
        method,
        url,
        headers=headers or {},
        body=body,
        follow_redirects=follow_redirects,
        deadline=deadline,
    ) as answer:
        if truncate:
            return _beginning(answer, max_bytes)
        parts = _chunks(answer, max_bytes=max_bytes, purpose=purpose, size=CHUNK_BYTES)
        return Response(answer.status, _headers(answer), b"".join(parts))


def _beginning(answer: http.client.HTTPResponse, max_bytes: int) -> Response:
    received = b""
    with contextlib.suppress(errors.SagaError, OSError, http.client.HTTPException):
        while len(received) < max_bytes and (chunk := answer.read1(max_bytes - len(received))):
            received += chunk
    is_complete = answer.isclosed() or answer.length == 0
    return Response(answer.status, _headers(answer), received, is_truncated=not is_complete)


@contextlib.contextmanager
def stream(
    url: str,
    *,
    purpose: str,
    max_bytes: int,
    headers: Mapping[str, str] | None = None,
    timeout_seconds: float = 600.0,
    follow_redirects: int = 5,
    is_labelled: bool = False,
) -> Iterator[StreamedResponse]:
    """Yield an answer of any status with its body in chunks; raises as ``request`` does.

    With ``is_labelled``, a content encoding is taken for a label of the file: servers call a .tar.gz
    ``Content-Encoding: x-gzip``. The bytes are never decompressed.

    Reading ``chunks`` to the end gives the whole body; a body that was cut short raises.
    """
    deadline = sockets.Deadline(timeout_seconds, purpose=purpose, stall_seconds=STALL_SECONDS)
    with _exchange(
        "GET",
        url,
        headers=headers or {},
        body=None,
        follow_redirects=follow_redirects,
        deadline=deadline,
    ) as answer:
        encoding = answer.headers.get("Content-Encoding", "identity").strip().lower()
        if answer.status == 200 and encoding not in ("", "identity") and not is_labelled:
            raise AnswerBroken(f"The {purpose} URL compresses its answer although asked not to.")
        chunks = _chunks(answer, max_bytes=max_bytes, purpose=purpose, size=CHUNK_BYTES)
        paced = _fast_enough(chunks, purpose)
        yield StreamedResponse(answer.status, _headers(answer), answer.length, paced)


@contextlib.contextmanager
def download(
    url: str,
    *,
    purpose: str,
    max_bytes: int,
    headers: Mapping[str, str] | None = None,
    timeout_seconds: float = 600.0,
    is_labelled: bool = False,
) -> Iterator[StreamedResponse]:
    """Yield the body of a 200 as ``stream`` does; raises DownloadFailed for any other status."""
    with stream(
        url,
        purpose=purpose,
        max_bytes=max_bytes,
        headers=headers,
        timeout_seconds=timeout_seconds,
        is_labelled=is_labelled,
    ) as answer:
        if answer.status != 200:
            raise DownloadFailed(
                f"The {purpose} URL answered {answer.status}.", answer_status=answer.status
            )
        yield answer
