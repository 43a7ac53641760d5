"""Webhooks' pages: a call that came in, a delivery with its attempts, dead ones to send again."""

from __future__ import annotations

import json
import uuid
from collections import Counter
from typing import Any

from django.contrib import admin, messages
from django.contrib.auth.models import AbstractUser
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.dateparse import parse_datetime

import webhooks.inbound
import webhooks.operations
from saga_project.console import confirm, roles
from saga_project.shared import http_client
from saga_project.shared.admin.verbs import ButtonVerb, Form, Verb
from webhooks.models import Delivery, InboundCall

PREVIEWED = 50
REPLAYED_AT_ONCE = 1000
Done = tuple[str, str | None]


# --- Inbound calls --------------------------------------------------------------------------------


def call_page(request: HttpRequest, number: uuid.UUID) -> HttpResponse:
    roles.demand(request, "webhooks.view_inboundcall")
    call = _find_call(number)
    context = {
        **admin.site.each_context(request),
        "title": f"{call.route} {call.service_name}",
        "sg_list": "webhooks.inboundcall",
        "call": call,
        "body": _readable(call.body),
        "verbs": confirm.allowed(request, _call_verbs(call, by=roles.person(request))),
        "replays": call.replays.order_by("-received_at")[:20],
    }
    return TemplateResponse(request, "console/inbound_call.html", context)


def call_act(request: HttpRequest, number: uuid.UUID, verb: str) -> HttpResponse:
    roles.demand(request, "webhooks.view_inboundcall")
    call = _find_call(number)
    return confirm.ask(
        request,
        _call_verbs(call, by=roles.person(request)),
        verb,
        subject=f"{call.route} {call.service_name}".strip(),
        back=reverse("admin:console_call", args=[call.pk]),
        site=admin.site.each_context(request),
    )


def _find_call(number: uuid.UUID) -> InboundCall:
    call = InboundCall.objects.select_related("replay_of").filter(pk=number).first()
    if call is None:
        raise Http404
    return call


def _readable(body: str) -> str:
    """Indent what is JSON; show anything else as it came."""
    try:
        return json.dumps(json.loads(body), indent=2, ensure_ascii=False)
    except ValueError:
        return body


def _call_verbs(call: InboundCall, *, by: AbstractUser) -> list[ButtonVerb]:
    if not call.is_whole:
        return []

    def does(_: Form) -> Done:
        person = webhooks.inbound.Person(by.get_username(), by.has_perm)
        answer = webhooks.inbound.replay_call(call.pk, by=person, now=timezone.now())
        return f"The call was acted on again: {answer.status}.", None

    return [
        Verb(
            name="replay",
            label="Replay",
            icon="replay",
            permission=roles.REPLAY_CALL,
            link=reverse("admin:console_call_verb", args=[call.pk, "replay"]),
            consequences=[
                f"Saga acts on this {call.route} call once more, in your name and with your permissions.",
                "What it does depends on how things are now, not on how they were then.",
            ],
            does=does,
        )
    ]


# --- Deliveries -----------------------------------------------------------------------------------


def delivery_page(request: HttpRequest, number: uuid.UUID) -> HttpResponse:
    roles.demand(request, "webhooks.view_delivery")
    delivery = _find_delivery(number)
    context = {
        **admin.site.each_context(request),
        "title": f"{delivery.topic} {delivery.service_name}",
        "sg_list": "webhooks.delivery",
        "delivery": delivery,
        "receiver": http_client.masked(delivery.url),
        "attempts": delivery.attempts.order_by("-started_at", "-pk")[:50],
        "verbs": confirm.allowed(request, _delivery_verbs(delivery, request.user.get_username())),
    }
    return TemplateResponse(request, "console/delivery.html", context)


def delivery_act(request: HttpRequest, number: uuid.UUID, verb: str) -> HttpResponse:
    roles.demand(request, "webhooks.view_delivery")
    delivery = _find_delivery(number)
    return confirm.ask(
        request,
        _delivery_verbs(delivery, request.user.get_username()),
        verb,
        subject=f"{delivery.topic} to {http_client.masked(delivery.url)}",
        back=reverse("admin:console_delivery", args=[delivery.pk]),
        site=admin.site.each_context(request),
    )


def _find_delivery(number: uuid.UUID) -> Delivery:
    rows = Delivery.objects.select_related("subscription", "endpoint__configuration")
    delivery = rows.filter(pk=number).first()
    if delivery is None:
        raise Http404
    return delivery


def _delivery_verbs(delivery: Delivery, by: str) -> list[ButtonVerb]:
    if delivery.status != Delivery.Status.DEAD:
        return []

    def does(_: Form) -> Done:
        count = webhooks.operations.replay_deliveries([delivery.pk], by=by, now=timezone.now())
        return ("It is on its way again." if count else "It is not dead any more."), None

    return [
        Verb(
            name="replay",
            label="Send again",
            icon="replay",
            permission=roles.REPLAY_DELIVERY,
            link=reverse("admin:console_delivery_verb", args=[delivery.pk, "replay"]),
            is_primary=True,
            consequences=[
                "The same message, with the same id, is sent now and retried as if it were new.",
                "It goes where its endpoint or subscription leads now.",
            ],
            does=does,
        )
    ]


# --- Many at once ---------------------------------------------------------------------------------


def replay_page(request: HttpRequest) -> HttpResponse:
    """Preview the dead deliveries that a filter matches; a POST sends exactly those again."""
    roles.demand(request, roles.REPLAY_DELIVERY)
    if request.method == "POST":
        return _replay(request)
    service_name, since = request.GET.get("service", ""), request.GET.get("since", "")
    rows = _dead(service_name, since)
    found = list(rows[: REPLAYED_AT_ONCE + 1])
    chosen = found[:REPLAYED_AT_ONCE]
    receivers = Counter(http_client.masked(row.url) for row in chosen)
    context: dict[str, Any] = {
        **admin.site.each_context(request),
        "title": "Send dead ones again",
        "sg_list": "webhooks.delivery",
        "service_name": service_name,
        "since": since,
        "count": len(chosen),
        "is_more": len(found) > REPLAYED_AT_ONCE,
        "ids": ",".join(str(row.pk) for row in chosen),
        "receivers": receivers.most_common(10),
        "shown": [(row, http_client.masked(row.url)) for row in chosen[:PREVIEWED]],
        "previewed": PREVIEWED,
    }
    return TemplateResponse(request, "console/replay.html", context)


def _dead(service_name: str, since: str) -> Any:
    rows = Delivery.objects.dead().order_by("-created_at")
    if service_name:
        rows = rows.filter(service_name=service_name.replace("\x00", ""))
    moment = _moment(since)
    return rows.filter(created_at__gte=moment) if moment else rows


def _moment(text: str) -> Any:
    """Read what a datetime field sends, in UTC; nonsense filters nothing."""
    try:
        moment = parse_datetime(text)
    except ValueError:
        return None
    if moment is None:
        return None
    return timezone.make_aware(moment) if timezone.is_naive(moment) else moment


def _replay(request: HttpRequest) -> HttpResponse:
    ids = []
    for text in request.POST.get("ids", "").split(",")[:REPLAYED_AT_ONCE]:
        try:
            ids.append(uuid.UUID(text))
        except ValueError:
            continue
    by = request.user.get_username()
    count = webhooks.operations.replay_deliveries(ids, by=by, now=timezone.now())
    messages.success(request, f"{count} deliveries are on their way again.")
    return HttpResponseRedirect(reverse("admin:webhooks_delivery_changelist"))
