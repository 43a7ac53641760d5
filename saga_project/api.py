"""What every HTTP answer of Saga shares: strict bodies, errors in two dialects, bounds, request ids."""

from __future__ import annotations

import datetime as dt
import logging
import re
import sys
import uuid
from collections.abc import Callable, Mapping
from typing import IO, Any, ClassVar, cast

import orjson
import structlog
from django.core import exceptions as django_exceptions
from django.db import InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.dateparse import parse_datetime
from redis import exceptions as redis_exceptions
from rest_framework import exceptions as drf_exceptions
from rest_framework import negotiation, parsers, renderers, views
from rest_framework.request import Request
from rest_framework.response import Response

from saga_project import errors, strict_json

logger = logging.getLogger(__name__)

MAX_BODY_BYTES = 1024 * 1024
SCAICONTROL_PREFIX = "/api/v1/registry/"
_REQUEST_ID = re.compile(r"[!-~]{1,128}", re.ASCII)

STATUS_OF_KIND: tuple[tuple[type[errors.SagaError], int], ...] = (
    (errors.InvalidRequest, 400),
    (errors.NotAuthenticated, 401),
    (errors.NotAllowed, 403),
    (errors.NotFound, 404),
    (errors.Conflict, 409),
    (errors.Unavailable, 503),
)
SCAICONTROL_CODES = {
    400: "bad_request",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    409: "conflict",
    413: "payload_too_large",
    415: "unsupported_media_type",
    429: "too_many_requests",
    500: "internal_error",
    503: "unavailable",
}


class BodyTooLarge(errors.InvalidRequest):
    error = "Request body too large"
    status = 413


class NotJson(errors.InvalidRequest):
    error = "Unsupported media type"
    status = 415


class InvalidJson(errors.InvalidRequest):
    error = "Invalid JSON"


class InvalidLimit(errors.InvalidRequest):
    error = "Invalid limit"


class InvalidParameter(errors.InvalidRequest):
    error = "Invalid parameter"


# --- Bodies ---------------------------------------------------------------------------------------


def read_json_object(raw: bytes) -> dict[str, Any]:
    """Return the JSON object in ``raw``; an empty body is an empty object."""
    if len(raw) > MAX_BODY_BYTES:
        raise BodyTooLarge(f"A request body has at most {MAX_BODY_BYTES} bytes.")
    if not raw.strip():
        return {}
    try:
        document = strict_json.loads(raw)
    except strict_json.Refused as exc:
        raise InvalidJson(str(exc)) from exc
    if not isinstance(document, dict):
        raise InvalidJson("The request body must be a JSON object.")
    return document


def body_of(request: Request) -> dict[str, Any]:
    """Return the parsed body: always an object, since the parser takes nothing else."""
    return cast("dict[str, Any]", request.data)


class StrictJSONParser(parsers.BaseParser):
    media_type = "application/json"

    def parse(
        self,
        stream: IO[Any],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        return read_json_object(stream.read(MAX_BODY_BYTES + 1))


class JSONRenderer(renderers.BaseRenderer):
    media_type = "application/json"
    format = "json"
    charset = None

    def render(
        self,
        data: Any,
        accepted_media_type: str | None = None,
        renderer_context: Mapping[str, Any] | None = None,
    ) -> bytes:
        return b"" if data is None else orjson.dumps(data, default=str)


class JsonWhateverIsAccepted(negotiation.DefaultContentNegotiation):
    """Every answer is JSON: an ``Accept`` that asks for something else is no reason to refuse."""

    def select_renderer(
        self, request: Request, renderers: Any, format_suffix: str | None = None
    ) -> tuple[Any, str]:
        return renderers[0], renderers[0].media_type


# --- Parameters -----------------------------------------------------------------------------------


def read_integer(
    request: Request,
    name: str,
    *,
    default: int | None,
    minimum: int,
    maximum: int,
    error: type[errors.InvalidRequest] = InvalidParameter,
) -> int | None:
    """Return the query parameter as a whole number within its bounds."""
    text = request.query_params.get(name)
    if text is None:
        return default
    if re.fullmatch(r"-?[0-9]{1,18}", text, re.ASCII) is None or not (
        minimum <= int(text) <= maximum
    ):
        raise error(f"'{name}' must be a whole number from {minimum} to {maximum}.", field=name)
    return int(text)


def read_limit(request: Request, *, default: int | None = 100) -> int | None:
    return read_integer(
        request, "limit", default=default, minimum=1, maximum=1000, error=InvalidLimit
    )


class InvalidOffset(errors.InvalidRequest):
    error = "Invalid offset"


def read_offset(request: Request) -> int:
    offset = read_integer(
        request, "offset", default=0, minimum=0, maximum=2**31 - 1, error=InvalidOffset
    )
    return offset or 0


def read_text(request: Request, name: str, *, maximum_length: int = 256) -> str | None:
    """Return the query parameter, bounded and free of control characters; empty counts as absent."""
    text = request.query_params.get(name)
    if not text:
        return None
    if len(text) > maximum_length or "\x00" in text or not strict_json.is_clean(text):
        raise InvalidParameter(f"'{name}' has characters or a length that are refused.", field=name)
    return text


def parse_time(text: str) -> dt.datetime | None:
    """Return an RFC 3339 date-time in UTC, or None where ``text`` is none. Without an offset it is UTC."""
    try:
        moment = parse_datetime(text)
        if moment is None:
            return None
        if moment.tzinfo is None:
            return moment.replace(tzinfo=dt.UTC)
        return moment.astimezone(dt.UTC)
    except (ValueError, OverflowError):
        return None


def read_time(request: Request, name: str) -> dt.datetime | None:
    text = request.query_params.get(name)
    if text is None:
        return None
    # A '+' that a caller forgot to encode arrives as a space.
    moment = parse_time(text.replace(" ", "+")) or parse_time(text) if len(text) <= 64 else None
    if moment is None:
        raise InvalidParameter(f"'{name}' must be an RFC 3339 time.", field=name)
    return moment


def zulu(moment: dt.datetime | None) -> str | None:
    """Seconds with ``Z``, as history, config and cache print their times."""
    if moment is None:
        return None
    return moment.astimezone(dt.UTC).isoformat(timespec="seconds").removesuffix("+00:00") + "Z"


# --- Errors ---------------------------------------------------------------------------------------


def is_scaicontrol(path: str) -> bool:
    return path.startswith(SCAICONTROL_PREFIX)


def status_of(exc: errors.SagaError) -> int:
    own: int | None = getattr(exc, "status", None)
    if own is not None:
        return own
    return next((code for kind, code in STATUS_OF_KIND if isinstance(exc, kind)), 500)


def _translate(exc: Exception) -> errors.SagaError | None:
    """Return the SagaError that says the same as a library's error, if there is one."""
    if isinstance(exc, errors.SagaError):
        return exc
    if isinstance(exc, redis_exceptions.RedisError):
        return errors.RedisUnavailable("Redis is not available. Try again in a moment.")
    if isinstance(exc, OperationalError | InterfaceError):
        return errors.DatabaseUnavailable("The database is not available. Try again in a moment.")
    if isinstance(exc, drf_exceptions.UnsupportedMediaType):
        return NotJson("The request body must be application/json.")
    if isinstance(exc, drf_exceptions.ValidationError):
        return invalid_fields(exc)
    return None


class InvalidFields(errors.InvalidRequest):
    """Several fields are wrong; ``faults`` holds (field path, message, type) of each."""

    def __init__(self, message: str, faults: list[tuple[list[str | int], str, str]]) -> None:
        super().__init__(message, field=str(faults[0][0][0]) if faults and faults[0][0] else None)
        self.faults = faults


def invalid_fields(exc: drf_exceptions.ValidationError) -> InvalidFields:
    faults = list(_faults(exc.get_full_details(), []))
    path, text, _ = faults[0]
    where = ".".join(str(part) for part in path)
    return InvalidFields(f"{where}: {text}" if where else text, faults)


def _faults(detail: Any, path: list[str | int]) -> Any:
    if isinstance(detail, dict) and set(detail) == {"message", "code"}:
        yield path, str(detail["message"]), str(detail["code"])
    elif isinstance(detail, dict):
        for key, inner in detail.items():
            own = path if key == "non_field_errors" else [*path, key]
            yield from _faults(inner, own)
    else:
        many = len(detail) > 1 and all(
            isinstance(item, dict) and "code" not in item for item in detail
        )
        for position, inner in enumerate(detail):
            if inner:
                yield from _faults(inner, [*path, position] if many else path)


def error_body(path: str, code: int, error: str, message: str, request_id: str) -> dict[str, Any]:
    """Return an error in the dialect that ``path`` speaks."""
    if is_scaicontrol(path):
        name = SCAICONTROL_CODES.get(code, "internal_error" if code >= 500 else "bad_request")
        return {"error": {"code": name, "message": message, "request_id": request_id}}
    return {"error": error, "message": message}


# ScaiControl's clients know the words of the library that it is built with.
_FAULT_TYPES = {"required": "missing", "null": "missing"}


def validation_body(faults: list[tuple[list[str | int], str, str]]) -> dict[str, Any]:
    return {
        "detail": [
            {"loc": ["body", *path], "msg": text, "type": _FAULT_TYPES.get(kind, kind)}
            for path, text, kind in faults
        ]
    }


def render(exc: errors.SagaError, path: str, request_id: str) -> tuple[int, dict[str, Any]]:
    """Return status and body of a SagaError, in the dialect of ``path``."""
    code = status_of(exc)
    if is_scaicontrol(path) and code == 400:
        faults = getattr(exc, "faults", None) or [
            ([exc.field] if exc.field else [], exc.message, "value_error")
        ]
        return 422, validation_body(faults)
    return code, error_body(path, code, exc.error, exc.message, request_id)


def exception_handler(exc: Exception, context: Mapping[str, Any]) -> Response | None:
    """DRF's handler first (it marks the rollback and sets ``Retry-After``), then the dialect."""
    request: Request = context["request"]
    path, request_id = request.path, request_id_of(request)
    known = _translate(exc)
    if known is None:
        return _library_response(exc, context, path, request_id)
    if isinstance(known, errors.Unavailable):
        logger.warning("unavailable", extra={"error": known.error, "path": path})
    views.set_rollback()
    code, body = render(known, path, request_id)
    response = Response(body, status=code)
    if code == 401:
        response["WWW-Authenticate"] = "Bearer"
    if known.retry_after_seconds is not None:
        response["Retry-After"] = str(known.retry_after_seconds)
    return response


def _library_response(
    exc: Exception, context: Mapping[str, Any], path: str, request_id: str
) -> Response | None:
    response = views.exception_handler(exc, dict(context))
    if response is None:
        return None
    error, message = _library_words(exc, response.status_code)
    response.data = error_body(path, response.status_code, error, message, request_id)
    return response


def _library_words(exc: Exception, code: int) -> tuple[str, str]:
    if isinstance(exc, Http404 | django_exceptions.ObjectDoesNotExist):
        return "Not found", "There is nothing at this address."
    if isinstance(exc, drf_exceptions.APIException):
        titles = {405: "Method not allowed", 429: "Too many requests", 401: "Unauthorized"}
        return titles.get(code, str(exc.default_detail).rstrip(".")), str(exc.detail)
    return "Forbidden", "This is not allowed."


# --- Requests -------------------------------------------------------------------------------------


def request_id_of(request: Any) -> str:
    inner = getattr(request, "_request", request)
    return str(getattr(inner, "saga_request_id", ""))


def choose_request_id(offered: str | None) -> str:
    """Return the caller's id where it is 1-128 printable ASCII characters, else a new one."""
    if offered is not None and _REQUEST_ID.fullmatch(offered):
        return offered
    return uuid.uuid4().hex


class RequestIdMiddleware:
    """Gives each request its id, and renders what failed before or beside a view."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        request_id = choose_request_id(request.headers.get("X-Request-ID"))
        request.saga_request_id = request_id  # type: ignore[attr-defined]
        with structlog.contextvars.bound_contextvars(request_id=request_id):
            response = self.get_response(request)
        response["X-Request-ID"] = request_id
        return response


def _json_error(request: HttpRequest, code: int, error: str, message: str) -> HttpResponse:
    body = error_body(request.path, code, error, message, request_id_of(request))
    return HttpResponse(orjson.dumps(body), status=code, content_type="application/json")


def not_found(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:  # noqa: ARG001 - Django calls it so
    return _json_error(request, 404, "Not found", "There is nothing at this address.")


def bad_request(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:  # noqa: ARG001 - Django calls it so
    return _json_error(request, 400, "Bad request", "The request cannot be read.")


def permission_denied(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:  # noqa: ARG001 - Django calls it so
    return _json_error(request, 403, "Forbidden", "This is not allowed.")


def server_error(request: HttpRequest) -> HttpResponse:
    gone = unavailable()
    if gone is not None:
        return _json_error(request, 503, gone.error, gone.message)
    return _json_error(
        request,
        500,
        "Internal error",
        "Saga failed to answer; its log says why under this request id.",
    )


def unavailable() -> errors.Unavailable | None:
    """Return what is gone, where that is why the request failed that is being handled."""
    exc = sys.exc_info()[1]
    known = _translate(exc) if isinstance(exc, Exception) else None
    return known if isinstance(known, errors.Unavailable) else None


class SagaView(views.APIView):
    """A view validates, makes one call, and answers; ``required_scopes`` says who may."""

    required_scopes: ClassVar[Mapping[str, str]] = {}
    #: For the OpenAPI document: statuses beside those that all routes share, parameters with their own rule.
    further_statuses: ClassVar[Mapping[str, tuple[int, ...]]] = {}
    own_parameters: ClassVar[tuple[str, ...]] = ()
    parser_classes = (StrictJSONParser,)
    renderer_classes = (JSONRenderer,)
    content_negotiation_class = JsonWhateverIsAccepted

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        length = request.META.get("CONTENT_LENGTH") or "0"
        if length.isdigit() and int(length) > MAX_BODY_BYTES:
            raise BodyTooLarge(f"A request body has at most {MAX_BODY_BYTES} bytes.")
        super().initial(request, *args, **kwargs)
