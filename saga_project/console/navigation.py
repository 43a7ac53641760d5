"""The sidebar: what a person may see, in the order of a working day."""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.contrib import admin
from django.db.models.options import Options
from django.http import HttpRequest
from django.urls import reverse

GROUPS = (
    (
        "Registry",
        (
            ("registry.service", "Services", "dns"),
            ("registry.instance", "Instances", "memory"),
            ("registry.subscription", "Subscriptions", "rss_feed"),
            ("registry.event", "Events", "timeline"),
            ("registry.healthcheck", "Health checks", "monitor_heart"),
        ),
    ),
    (
        "Updates",
        (
            ("updates.job", "Deployments", "rocket_launch"),
            ("updates.approval", "Approvals", "rule"),
            ("updates.release", "Releases", "inventory_2"),
            ("updates.historyentry", "History", "history"),
            ("updates.policy", "Policies", "policy"),
            ("updates.selectorpolicy", "Policies by label", "label"),
            ("updates.source", "Sources", "cloud_download"),
            ("updates.node", "Nodes", "dns"),
            ("updates.credential", "Credentials", "key"),
            ("updates.target", "Targets", "lan"),
            ("updates.maintenancewindow", "Maintenance windows", "event_available"),
            ("updates.freeze", "Freezes", "ac_unit"),
            ("updates.hold", "Skips and snoozes", "snooze"),
        ),
    ),
    (
        "Webhooks",
        (
            ("webhooks.configuration", "Configuration", "tune"),
            ("webhooks.notificationrule", "Notification rules", "notifications"),
            ("webhooks.alert", "Alerts", "notification_important"),
            ("webhooks.inboundcall", "Inbound calls", "call_received"),
            ("webhooks.delivery", "Deliveries", "send"),
            ("webhooks.receiver", "Failing receivers", "link_off"),
            ("webhooks.githubhook", "GitHub hooks", "healing"),
        ),
    ),
    (
        "Access",
        (
            ("registry.serviceaccount", "Service accounts", "key"),
            ("registry.token", "Tokens", "vpn_key"),
            ("updates.auditentry", "Audit trail", "verified_user"),
            ("auth.user", "People", "person"),
            ("auth.group", "Roles", "group"),
            ("axes.accessattempt", "Failed logins", "lock_clock"),
            ("django_celery_beat.periodictask", "Schedules", "schedule"),
        ),
    ),
)


_TITLES = {label: title for _, entries in GROUPS for label, title, _ in entries}


def title_of(options: Options[Any]) -> str:
    """Return what the sidebar calls the rows of a model; what it does not list has its own words."""
    own = str(options.verbose_name_plural).capitalize()
    return _TITLES.get(options.label_lower, own)


def list_of(label: str) -> str:
    return reverse(f"admin:{label.replace('.', '_')}_changelist")


def sidebar(request: HttpRequest) -> list[dict[str, Any]]:
    dashboard = {"title": "Dashboard", "icon": "space_dashboard", "link": reverse("admin:index")}
    start = {"title": "Start here", "icon": "flag", "link": reverse("admin:console_start")}
    groups: list[dict[str, Any]] = [{"title": None, "items": [dashboard, start]}]
    for title, entries in GROUPS:
        items = [_item(*entry) for entry in entries if _is_open(request, entry[0])]
        if items:
            groups.append({"title": title, "separator": True, "items": items})
    return groups


def _is_open(request: HttpRequest, label: str) -> bool:
    model = apps.get_model(label)
    if not admin.site.is_registered(model):
        return False
    model_admin = admin.site.get_model_admin(model)
    return bool(model_admin.has_view_permission(request))


def _item(label: str, title: str, icon: str) -> dict[str, Any]:
    return {"title": title, "icon": icon, "link": list_of(label)}
