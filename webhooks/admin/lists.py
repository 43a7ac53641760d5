"""Inbound calls, deliveries and configurations in the admin, without secrets."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from unfold.admin import ModelAdmin
from unfold.decorators import action, display

from saga_project.shared import http_client
from saga_project.shared.admin import exports
from saga_project.shared.admin.readonly import Journal
from webhooks.models import Configuration, Delivery, InboundCall, Receiver
from webhooks.operations import receivers


@admin.register(Configuration)
class ConfigurationAdmin(ModelAdmin):
    list_display = ["__str__", "channels", "has_secret", "configured_at"]
    search_fields = ["service__name"]
    list_select_related = ["service"]

    @display(description="Channels")
    def channels(self, configuration: Configuration) -> str:
        return ", ".join(endpoint.channel for endpoint in configuration.endpoints.all()) or "none"

    @display(description="Secret", boolean=True)
    def has_secret(self, configuration: Configuration) -> bool:
        return bool(configuration.sealed_secret)

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).prefetch_related("endpoints")


@admin.register(InboundCall)
class InboundCallAdmin(Journal):
    list_display = [
        "route",
        "service_name",
        "shown_verdict",
        "status",
        "proof",
        "caller",
        "received_at",
    ]
    list_filter = ["verdict", "route", "received_at"]
    search_fields = ["=service_name", "=message_id", "=request_id"]
    search_help_text = "A service, a message id or a request id, in full."

    @display(description="Verdict", label={"accepted": "success", "refused": "danger"})
    def shown_verdict(self, call: InboundCall) -> str:
        return call.verdict


@admin.register(Receiver)
class ReceiverAdmin(Journal):
    list_display = [
        "leads_to",
        "service_name",
        "failures",
        "failing_since",
        "paused_at",
        "disabled_at",
    ]
    exclude = ["url"]
    actions = ["resume_receivers"]

    @display(description="Receiver")
    def leads_to(self, receiver: Receiver) -> str:
        return http_client.masked(receiver.url)

    @admin.action(description="Resume, and send what was missed", permissions=["resume"])
    def resume_receivers(self, request: HttpRequest, queryset: Any) -> None:
        by, count = request.user.get_username(), 0
        for row in queryset:
            count += receivers.resume_receiver(row.pk, by=by, now=timezone.now())
        self.message_user(request, f"Resumed; {count} deliveries are on their way again.")

    def has_resume_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("webhooks.resume_receiver"))


@admin.register(Delivery)
class DeliveryAdmin(exports.ExportedJournal):
    export_columns = exports.columns(
        "id",
        "kind",
        "topic",
        "service_name",
        "status",
        "reason",
        "attempt_count",
        "next_attempt_at",
        "created_at",
        "finished_at",
        url=lambda delivery: http_client.masked(delivery.url),
    )
    list_display = [
        "topic",
        "service_name",
        "kind",
        "shown_status",
        "attempt_count",
        "reason",
        "next_attempt_at",
        "created_at",
    ]
    list_filter = ["status", "kind", "created_at"]
    search_fields = ["=service_name", "=topic"]
    search_help_text = "A service or a topic, in full."
    actions_list = ["replay_dead"]

    @action(description="Send dead ones again", permissions=["replay"], url_path="replay-dead")
    def replay_dead(self, request: HttpRequest) -> HttpResponse:
        return redirect("admin:console_replay")

    def has_replay_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("webhooks.replay_delivery"))

    @display(
        description="Status",
        label={"delivered": "success", "dead": "danger", "pending": "warning", "sending": "info"},
    )
    def shown_status(self, delivery: Delivery) -> str:
        return delivery.status
