"""Rows that programs write: people look at them."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from unfold.admin import ModelAdmin
from unfold.paginator import InfinitePaginator


class ReadOnly(ModelAdmin):
    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class Journal(ReadOnly):
    """A table that grows: its rows are never counted, so an action takes those of one page."""

    paginator = InfinitePaginator
    show_full_result_count = False
    list_per_page = 50
    list_disable_select_all = True
