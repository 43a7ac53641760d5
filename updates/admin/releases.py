"""Releases: what could run, and what must not."""

from __future__ import annotations

from django.contrib import admin
from unfold.decorators import display

from updates.admin.readonly import Journal
from updates.models import Release


@admin.register(Release)
class ReleaseAdmin(Journal):
    list_display = [
        "__str__",
        "shown_state",
        "state_reason",
        "channel",
        "is_prerelease",
        "origin",
        "published_at",
        "recorded_at",
    ]
    list_select_related = ["service"]
    list_filter = ["state", "origin", "is_prerelease", "artifact_type"]
    search_fields = ["=service__name", "=version"]
    search_help_text = "A service's whole name, or a version."
    ordering = ["-recorded_at", "-id"]

    @display(
        description="State",
        label={"available": "success", "quarantined": "danger", "withdrawn": "warning"},
    )
    def shown_state(self, release: Release) -> str:
        return release.state
