"""Events: pages with cursors, long polls, and a stream of Server-Sent Events.

A view validates the request and answers what it can at once. What has to wait it hands to the
server's event loop (``saga_project.web.streams``) through the ASGI scope, so that waiting holds no thread.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from django import db
from django.conf import settings
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from registry import errors
from registry.api import authentication
from registry.events import log, stream_slots
from registry.events.log import Cursor, Selection
from saga_project.shared import api, rules
from saga_project.shared import errors as saga_errors
from saga_project.shared.api import fields

HANDED_OVER = "saga.handed_over"
READ = "services:read"
MAX_WAIT_SECONDS = 60
MAX_PATTERNS = 50
_WAIT = re.compile(r"[0-9]{1,2}(\.[0-9]{1,6})?", re.ASCII)
EVENT_TYPE = rules.PatternRule(
    pattern=r"[a-z0-9._]{0,63}[a-z0-9._*]",
    message="A type is a name such as 'service.expired', or its beginning with '*' at the end.",
    error=errors.InvalidType,
)
_NAME_OR_PREFIX = "|".join(
    rule.schema()["pattern"] for rule in (rules.SERVICE_NAME, rules.SERVICE_NAME_PREFIX)
)

slots_of_streams = stream_slots.StreamSlots(
    settings.SAGA_DATA_DIR / "streams.lock", total=settings.SAGA_MAX_STREAMS
)


@dataclass(frozen=True, kw_only=True)
class LongPoll:
    """A page that is empty yet: answer as soon as something comes, or empty after the wait."""

    selection: Selection
    after: Cursor
    limit: int
    wait_seconds: float


@dataclass(frozen=True, kw_only=True)
class Stream:
    """A stream that may begin; its slot is to be given back when it ends.

    ``is_open``: the server is open to the request, so that its token needs no scope.
    """

    selection: Selection
    after: Cursor
    slot: int
    token: str | None
    is_open: bool = False


SELECTION = [
    OpenApiParameter(
        "service",
        {
            "type": "array",
            "items": {"type": "string", "pattern": _NAME_OR_PREFIX},
        },
        description="Service names; `*` may end one.",
    ),
    OpenApiParameter(
        "type",
        {
            "type": "array",
            "items": fields.schema_of(EVENT_TYPE),
        },
        description="Event types such as `service.*`; `*` may end one.",
    ),
    OpenApiParameter(
        "after",
        {"type": "string", "pattern": r"^([0-9]{1,18}-[0-9]{1,18})?$"},
        description="A cursor, or an event's id: what came after it, oldest first.",
    ),
]


class EventSerializer(serializers.Serializer[Any]):
    """What happened; `data` is of the shape of its `type`."""

    id = serializers.CharField(help_text="Also the cursor that continues after this event.")
    type = serializers.CharField()
    service_name = serializers.CharField(allow_null=True)
    occurred_at = serializers.DateTimeField()
    data = serializers.DictField()  # type: ignore[assignment]


class EventPageSerializer(serializers.Serializer[Any]):
    events = EventSerializer(many=True)
    cursor = serializers.CharField()


class EventsView(api.SagaView):
    required_scopes = {"GET": READ}
    further_statuses = {"GET": (410,)}

    @extend_schema(
        operation_id="list_events",
        summary="What happened: the newest events, or those after a cursor",
        description="With `wait`, an answer that would be empty waits for the next matching event.",
        tags=["events"],
        parameters=[
            *SELECTION,
            fields.limit_parameter(),
            OpenApiParameter(
                "wait",
                {"type": "string", "pattern": r"^([0-5]?[0-9](\.[0-9]{1,6})?|60)$"},
                description="Seconds to wait, 0-60, default 0.",
            ),
        ],
        responses={200: EventPageSerializer},
    )
    def get(self, request: Request) -> Response:
        selection = read_selection(request)
        limit = api.read_limit(request) or 100
        wait_seconds = _read_wait(request)
        after = _read_cursor(request.query_params.get("after"))
        if after is None:
            page = log.newest(selection, limit=limit)
        else:
            page = log.following(selection, after, limit=limit)
        if not page.entries and wait_seconds and request.method == "GET":
            hand_over(
                request,
                LongPoll(
                    selection=selection, after=page.cursor, limit=limit, wait_seconds=wait_seconds
                ),
            )
        return Response(page.document())


class EventStreamView(api.SagaView):
    required_scopes = {"GET": READ}
    further_statuses = {"GET": (410,)}

    @extend_schema(
        operation_id="stream_events",
        summary="What happens, as Server-Sent Events",
        description=(
            "Begins now, or after `Last-Event-ID` (which wins) or `after`. An event's `event` is its type,"
            " its `data` the same object as in the list."
        ),
        tags=["events"],
        parameters=[
            *SELECTION,
            OpenApiParameter("Last-Event-ID", str, OpenApiParameter.HEADER),
        ],
        responses={(200, "text/event-stream"): OpenApiTypes.STR},
    )
    def get(self, request: Request) -> Response:
        selection = read_selection(request)
        after = _read_cursor(
            request.headers.get("Last-Event-ID") or request.query_params.get("after")
        )
        if after is None:
            after = log.head()
        else:
            log.check_is_readable(after)
        if request.method != "GET":
            return Response(status=200)
        slot = slots_of_streams.take()
        if slot is None:
            raise errors.TooManyStreams(
                f"At most {settings.SAGA_MAX_STREAMS} streams are served at once. Try again later,"
                " or poll /api/v1/events.",
                retry_after_seconds=10,
            )
        hand_over(
            request,
            Stream(
                selection=selection,
                after=after,
                slot=slot,
                token=_token_of(request),
                is_open=authentication.is_open_to(request),
            ),
        )
        return Response(status=200)


def _token_of(request: Request) -> str | None:
    """Return the bearer token that the request was accepted with, if any."""
    return (
        request.META.get("HTTP_AUTHORIZATION", "").strip(" ").partition(" ")[2].strip(" ") or None
    )


def may_go_on(stream: Stream) -> bool:
    """Return whether a stream's token may still read; checked regularly while the stream runs."""
    if stream.token is None:
        return True
    try:
        caller = authentication.recognise(stream.token)
    except errors.TokenRefused:
        return False
    except (db.Error, saga_errors.Unavailable):
        return True  # The log is unreadable without the database.
    return stream.is_open or caller.has_scope(READ)


def hand_over(request: Request, work: LongPoll | Stream) -> None:
    """Leave the rest to the event loop; without one (a plain WSGI server) the answer stands as it is."""
    scope: dict[str, Any] = request.META.get("asgi.scope", {})
    scope[HANDED_OVER] = work


# --- Parameters -----------------------------------------------------------------------------------


def read_selection(request: Request) -> Selection:
    """Read ``service`` and ``type``: repeated or with commas, ``*`` at the end for anything."""
    services = _read_patterns(request, "service")
    for pattern in services:
        rule = rules.SERVICE_NAME_PREFIX if "*" in pattern else rules.SERVICE_NAME
        rule.check(pattern, field="service")
    types = _read_patterns(request, "type")
    for pattern in types:
        EVENT_TYPE.check(pattern, field="type")
    return Selection(services=services, types=types)


def _read_patterns(request: Request, name: str) -> tuple[str, ...]:
    if name not in request.query_params:
        return ()
    texts = ",".join(request.query_params.getlist(name)).split(",")
    patterns = tuple(dict.fromkeys(text.strip() for text in texts))
    if len(patterns) > MAX_PATTERNS:
        raise api.InvalidParameter(f"'{name}' takes at most {MAX_PATTERNS} patterns.", field=name)
    return patterns


def _read_cursor(text: str | None) -> Cursor | None:
    return log.parse_cursor(text) if text else None


def _read_wait(request: Request) -> float:
    text = request.query_params.get("wait")
    if text is None:
        return 0.0
    if _WAIT.fullmatch(text) is None or float(text) > MAX_WAIT_SECONDS:
        raise errors.InvalidWait(
            f"'wait' is a number of seconds from 0 to {MAX_WAIT_SECONDS}.", field="wait"
        )
    return float(text)
