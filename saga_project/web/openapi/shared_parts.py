"""What many operations have in common: errors in both dialects, and headers of requests and answers."""

from __future__ import annotations

from typing import Any

from saga_project.shared import api

BEARER = "bearer"
MEANINGS = {
    "400": "The request cannot be understood, or breaks a rule that `message` names.",
    "401": "No token, or one that is not known.",
    "403": "The token does not have the scope, or the service belongs to another account.",
    "404": "What was named does not exist.",
    "405": "The path does not take this method; `Allow` names those that it takes.",
    "409": "The state of what was named, or of its Idempotency-Key, forbids this.",
    "410": "The cursor is older than the events that are kept.",
    "412": "`If-Match` names another state than the current one: read it again.",
    "413": "The body has more than 1 MiB.",
    "415": "The body is not JSON.",
    "422": "The body cannot be understood, or breaks a rule.",
    "429": "Too many requests; Retry-After says how long to wait.",
    "502": "Another server, which this needs, refused or could not be reached.",
    "503": "Redis or the database is not available.",
}
ERROR: dict[str, Any] = {
    "type": "object",
    "required": ["error", "message"],
    "properties": {
        "error": {"type": "string", "description": "The short type, for programs."},
        "message": {"type": "string", "description": "A sentence for the person who must act."},
    },
    "additionalProperties": False,
}
SCAICONTROL_ERROR: dict[str, Any] = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["code", "message", "request_id"],
            "properties": {
                "code": {"type": "string", "enum": sorted(set(api.SCAICONTROL_CODES.values()))},
                "message": {"type": "string"},
                "request_id": {"type": "string"},
            },
            "additionalProperties": False,
        }
    },
    "additionalProperties": False,
}
HTTP_VALIDATION_ERROR: dict[str, Any] = {
    "type": "object",
    "required": ["detail"],
    "properties": {
        "detail": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["loc", "msg", "type"],
                "properties": {
                    "loc": {
                        "type": "array",
                        "items": {"anyOf": [{"type": "string"}, {"type": "integer"}]},
                    },
                    "msg": {"type": "string"},
                    "type": {"type": "string"},
                },
            },
        }
    },
    "additionalProperties": False,
}

IDEMPOTENCY_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "The same key with the same body gets the first answer again, for 24 hours.",
    "schema": {"type": "string", "pattern": "^[!-~]{1,255}$"},
}
IF_MATCH = {
    "name": "If-Match",
    "in": "header",
    "description": "The `ETag` of what was read: where it was changed since, the answer is 412.",
    "schema": {"type": "string", "maxLength": 256},
}
#: Headers of an error's answer, by status.
HEADERS = {
    "405": {
        "Allow": {
            "description": "The methods that the path takes, with commas.",
            "schema": {"type": "string"},
        }
    },
    "429": {
        "Retry-After": {
            "description": "Seconds to wait.",
            "schema": {"type": "integer", "minimum": 0},
        }
    },
}
