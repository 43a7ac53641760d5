"""The configuration of a service's webhooks: where channels lead, and a secret that is only ever written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.contrib import admin, messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone

import webhooks.operations
from registry import names
from registry.identity import accounts
from registry.models import manager_of
from saga_project.console import confirm, roles
from saga_project.shared import http_client
from saga_project.shared.admin.verbs import ButtonVerb, Form, Verb
from saga_project.shared.errors import SagaError
from webhooks.models import GLOBAL, Configuration, Delivery, Endpoint

EMPTY_ROWS = 3
MAX_ROWS = 100
DELIVERIES_SHOWN = 10
SECRET_ACTIONS = ("keep", "set", "remove")


@dataclass(frozen=True)
class Row:
    """One line of the form."""

    channel: str
    url: str
    endpoint: Endpoint | None = None


def page(request: HttpRequest, number: int) -> HttpResponse:
    roles.demand(request, "webhooks.view_configuration")
    configuration = _find(number)
    if request.method == "POST":
        roles.demand(request, roles.CONFIGURE_WEBHOOKS)
        return _save(request, configuration.service_name, here=_link(configuration))
    return _form(request, configuration, _rows(configuration))


def add(request: HttpRequest) -> HttpResponse:
    roles.demand(request, roles.CONFIGURE_WEBHOOKS)
    name = request.POST.get("service_name", request.GET.get("service", "")).strip()
    if request.method != "POST":
        return _form(request, None, [], service_name=name)
    try:
        if name != GLOBAL:
            names.check_service_name(name)
    except SagaError as exc:
        messages.error(request, str(exc))
        return _form(request, None, _sent(request), service_name=name)
    return _save(request, name, here=request.get_full_path())


def _find(number: int) -> Configuration:
    rows = Configuration.objects.select_related("service").prefetch_related("endpoints")
    configuration = rows.filter(pk=number).first()
    if configuration is None:
        raise Http404
    return configuration


def _link(configuration: Configuration) -> str:
    return reverse("admin:console_configuration", args=[configuration.pk])


def _rows(configuration: Configuration) -> list[Row]:
    return [Row(each.channel, each.url, each) for each in configuration.endpoints.all()]


def _sent(request: HttpRequest) -> list[Row]:
    pairs = zip(request.POST.getlist("channel"), request.POST.getlist("url"), strict=False)
    rows = [Row(channel.strip(), url.strip()) for channel, url in pairs]
    return [row for row in rows if row.channel or row.url][:MAX_ROWS]


def _form(
    request: HttpRequest,
    configuration: Configuration | None,
    rows: list[Row],
    *,
    service_name: str = "",
) -> HttpResponse:
    may_edit = roles.person(request).has_perm(roles.CONFIGURE_WEBHOOKS)
    context: dict[str, Any] = {
        **admin.site.each_context(request),
        "title": str(configuration) if configuration else "New",
        "sg_list": "webhooks.configuration",
        "configuration": configuration,
        "manager": manager_of(configuration) if configuration else "",
        "service_name": configuration.service_name if configuration else service_name,
        "rows": rows if not may_edit else [*rows, *[Row("", "")] * EMPTY_ROWS],
        "masked_rows": [(row, http_client.masked(row.url)) for row in rows],
        "may_edit": may_edit,
        "tests": _tests(configuration),
    }
    return TemplateResponse(request, "console/configuration.html", context)


def _tests(configuration: Configuration | None) -> list[tuple[Delivery, Any]]:
    """Return the last test messages with what the receiver answered."""
    if configuration is None:
        return []
    rows = Delivery.objects.filter(
        kind=Delivery.Kind.TEST, endpoint__configuration=configuration
    ).prefetch_related("attempts")
    return [
        (row, max(row.attempts.all(), key=lambda attempt: attempt.pk, default=None))
        for row in rows.order_by("-created_at")[:DELIVERIES_SHOWN]
    ]


def _save(request: HttpRequest, service_name: str, *, here: str) -> HttpResponse:
    sent = _sent(request)
    channels = [row.channel for row in sent]
    if repeated := next((name for name in channels if channels.count(name) > 1), None):
        messages.error(request, f"The channel “{repeated}” is there twice.")
        return HttpResponseRedirect(here)
    try:
        configuration = webhooks.operations.configure(
            service_name,
            endpoints={row.channel: row.url for row in sent},
            secret=_secret(request),
            now=timezone.now(),
            by=accounts.staff(roles.person(request).get_username()),
        )
    except SagaError as exc:
        messages.error(request, str(exc))
        return HttpResponseRedirect(here)
    messages.success(request, "The configuration is kept.")
    return HttpResponseRedirect(_link(configuration))


def _secret(request: HttpRequest) -> Any:
    chosen = request.POST.get("secret_action", "keep")
    if chosen == "remove":
        return None
    text = request.POST.get("secret", "")
    return text if chosen == "set" and text else webhooks.operations.UNSET


def test(request: HttpRequest, number: int, channel: str) -> HttpResponse:
    """Send a test message to one channel, once it was confirmed."""
    roles.demand(request, "webhooks.view_configuration")
    configuration = _find(number)
    endpoint = next((row for row in configuration.endpoints.all() if row.channel == channel), None)
    if endpoint is None:
        raise Http404
    return confirm.ask(
        request,
        [_test_verb(endpoint)],
        "test",
        subject=f"{configuration} {channel}",
        back=_link(configuration),
        site=admin.site.each_context(request),
    )


def _test_verb(endpoint: Endpoint) -> ButtonVerb:
    def does(_: Form) -> tuple[str, str | None]:
        result = webhooks.operations.send_test(endpoint, now=timezone.now())
        verdict = "took it" if result.is_delivered else "did not take it"
        return f"The receiver {verdict}. {result.reason}".strip(), None

    return Verb(
        name="test",
        label="Send a test",
        icon="send",
        permission=roles.CONFIGURE_WEBHOOKS,
        consequences=[
            f"One message goes to {http_client.masked(endpoint.url)}, now and without retries.",
            "Its answer is shown on the page of this configuration.",
        ],
        does=does,
    )
