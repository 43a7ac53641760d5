"""The routes of updates, below /api/v1."""

from __future__ import annotations

from django.urls import path, re_path

from updates.api import approvals, history, jobs, plan

urlpatterns = [
    path("approvals", approvals.ApprovalListView.as_view()),
    path("approvals/<str:approval_id>", approvals.ApprovalView.as_view()),
    path("approvals/<str:approval_id>/approve", approvals.ApproveView.as_view()),
    path("approvals/<str:approval_id>/reject", approvals.RejectView.as_view()),
    path("updates/history", history.HistoryView.as_view()),
    path("updates/history/export/<str:format>", history.ExportView.as_view()),
    path("updates/history/<str:name>", history.ServiceHistoryView.as_view()),
    path("updates/history/<str:name>/export/<str:format>", history.ExportView.as_view()),
    path("updates/jobs", jobs.JobListView.as_view()),
    path("updates/jobs/<str:job_id>", jobs.JobView.as_view()),
    re_path(
        r"^updates/jobs/(?P<job_id>[^/]+)/(?P<verb>pause|resume|promote|abort|retry|acknowledge)$",
        jobs.JobVerbView.as_view(),
    ),
    path("updates/statistics", history.StatisticsView.as_view()),
    path("updates/statistics/dora", history.DoraView.as_view()),
    path("updates/plan", plan.PlanView.as_view()),
]
