"""What every HTTP answer of Saga shares: strict bodies, errors in two dialects, bounds, request ids."""

from __future__ import annotations

from saga_project.api.bodies import (
    MAX_BODY_BYTES,
    BodyTooLarge,
    InvalidJson,
    JSONRenderer,
    JsonWhateverIsAccepted,
    NotJson,
    StrictJSONParser,
    body_of,
    read_json_object,
)
from saga_project.api.failures import (
    bad_request,
    not_found,
    permission_denied,
    server_error,
    unavailable,
    why_bad,
)
from saga_project.api.parameters import (
    InvalidLimit,
    InvalidOffset,
    InvalidParameter,
    Zulu,
    parse_time,
    read_integer,
    read_limit,
    read_offset,
    read_text,
    read_time,
    zulu,
)
from saga_project.api.rendering import (
    SCAICONTROL_CODES,
    SCAICONTROL_PREFIX,
    InvalidFields,
    error_body,
    exception_handler,
    invalid_fields,
    is_scaicontrol,
    render,
    status_of,
    validation_body,
)
from saga_project.api.requests import (
    RequestIdMiddleware,
    choose_request_id,
    request_id_of,
)
from saga_project.api.views import (
    SagaView,
)

__all__ = [
    "MAX_BODY_BYTES",
    "SCAICONTROL_CODES",
    "SCAICONTROL_PREFIX",
    "BodyTooLarge",
    "InvalidFields",
    "InvalidJson",
    "InvalidLimit",
    "InvalidOffset",
    "InvalidParameter",
    "JSONRenderer",
    "JsonWhateverIsAccepted",
    "NotJson",
    "RequestIdMiddleware",
    "SagaView",
    "StrictJSONParser",
    "Zulu",
    "bad_request",
    "body_of",
    "choose_request_id",
    "error_body",
    "exception_handler",
    "invalid_fields",
    "is_scaicontrol",
    "not_found",
    "parse_time",
    "permission_denied",
    "read_integer",
    "read_json_object",
    "read_limit",
    "read_offset",
    "read_text",
    "read_time",
    "render",
    "request_id_of",
    "server_error",
    "status_of",
    "unavailable",
    "validation_body",
    "why_bad",
    "zulu",
]
