"""The routes of updates, below /api/v1."""

from __future__ import annotations

from django.urls import path

from updates.api import history, plan

urlpatterns = [
    path("updates/history", history.HistoryView.as_view()),
    path("updates/history/export/<str:format>", history.ExportView.as_view()),
    path("updates/history/<str:name>", history.ServiceHistoryView.as_view()),
    path("updates/history/<str:name>/export/<str:format>", history.ExportView.as_view()),
    path("updates/statistics", history.StatisticsView.as_view()),
    path("updates/statistics/dora", history.DoraView.as_view()),
    path("updates/plan", plan.PlanView.as_view()),
]
