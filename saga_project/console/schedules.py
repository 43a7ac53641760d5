"""Schedules in the admin: staff edit their own, and Saga's are read-only.

Beat writes Saga's own schedules into the table when it starts. Without one of them, releases are not checked
or old rows are not removed, and no page would say why.
"""

from __future__ import annotations

from typing import Any, ClassVar

from celery import current_app
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django_celery_beat import admin as beat_admin
from django_celery_beat.models import (
    ClockedSchedule,
    CrontabSchedule,
    IntervalSchedule,
    PeriodicTask,
    SolarSchedule,
)
from unfold.admin import ModelAdmin
from unfold.decorators import display
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

for model in (ClockedSchedule, CrontabSchedule, IntervalSchedule, PeriodicTask, SolarSchedule):
    admin.site.unregister(model)


def built_in() -> frozenset[str]:
    """Return the names of the schedules that Saga itself needs; beat adds those with ``celery.``."""
    return frozenset(current_app.conf.beat_schedule) | {"celery.backend_cleanup"}


class TaskSelectWidget(UnfoldAdminSelectWidget, beat_admin.TaskSelectWidget):
    pass


class ScheduleForm(beat_admin.PeriodicTaskForm):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "task" in self.fields:  # absent where the schedule is read-only
            self.fields["task"].widget = UnfoldAdminTextInputWidget()
            self.fields["regtask"].widget = TaskSelectWidget()


@admin.register(PeriodicTask)
class ScheduleAdmin(beat_admin.PeriodicTaskAdmin, ModelAdmin):
    form = ScheduleForm
    list_display: ClassVar[list[str]] = [
        *("name", "belongs_to", "enabled", "scheduler", "last_run_at", "total_run_count")
    ]

    @display(description="Belongs to")
    def belongs_to(self, task: PeriodicTask) -> str:
        return "Saga" if task.name in built_in() else "Staff"

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return _is_of_staff(obj) and super().has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return _is_of_staff(obj) and super().has_delete_permission(request, obj)

    @admin.action(description="Enable selected tasks", permissions=["change"])
    def enable_tasks(self, request: HttpRequest, queryset: QuerySet[PeriodicTask]) -> None:
        super().enable_tasks(request, self._of_staff(request, queryset))

    @admin.action(description="Disable selected tasks", permissions=["change"])
    def disable_tasks(self, request: HttpRequest, queryset: QuerySet[PeriodicTask]) -> None:
        super().disable_tasks(request, self._of_staff(request, queryset))

    @admin.action(description="Toggle activity of selected tasks", permissions=["change"])
    def toggle_tasks(self, request: HttpRequest, queryset: QuerySet[PeriodicTask]) -> None:
        super().toggle_tasks(request, self._of_staff(request, queryset))

    @admin.action(description="Run selected tasks", permissions=["change"])
    def run_tasks(self, request: HttpRequest, queryset: QuerySet[PeriodicTask]) -> None:
        super().run_tasks(request, queryset)

    def _of_staff(
        self, request: HttpRequest, queryset: QuerySet[PeriodicTask]
    ) -> QuerySet[PeriodicTask]:
        """Return the rows that staff may change, and say which of the selected ones are Saga's."""
        for name in queryset.filter(name__in=built_in()).values_list("name", flat=True):
            text = f"'{name}' is one of Saga's own schedules and stays as it is."
            self.message_user(request, text, messages.ERROR)
        return queryset.exclude(name__in=built_in())


def _is_of_staff(task: PeriodicTask | None) -> bool:
    return task is None or task.name not in built_in()


class SharedScheduleAdmin(ModelAdmin):
    """A time that schedules refer to: read-only while one of Saga's own does."""

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return not _is_needed(obj) and super().has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return not _is_needed(obj) and super().has_delete_permission(request, obj)


def _is_needed(schedule: IntervalSchedule | CrontabSchedule | None) -> bool:
    if schedule is None:
        return False
    return bool(schedule.periodictask_set.filter(name__in=built_in()).exists())


@admin.register(IntervalSchedule)
class IntervalAdmin(SharedScheduleAdmin):
    list_display: ClassVar[list[str]] = ["__str__", "every", "period"]


@admin.register(CrontabSchedule)
class CrontabAdmin(beat_admin.CrontabScheduleAdmin, SharedScheduleAdmin):
    pass
