"""The routes of updates, below /api/v1."""

from __future__ import annotations

from django.urls import path, re_path

from saga_project.shared.api import resources
from updates.api import (
    agent_services,
    agents,
    approvals,
    audit,
    calendar,
    corrections,
    credentials,
    history,
    jobs,
    nodes,
    plan,
    policies,
    releases,
    sources,
    targets,
    uploads,
)

router = resources.ResourceRouter()
router.register("policies", policies.PolicyViewSet, basename="policy")
router.register("selector-policies", policies.SelectorPolicyViewSet, basename="selector-policy")
router.register("skips", policies.SkipViewSet, basename="skip")
router.register("targets", targets.TargetViewSet, basename="target")
router.register("credentials", credentials.CredentialViewSet, basename="credential")
router.register("windows", calendar.WindowViewSet, basename="window")
router.register("audit", audit.AuditViewSet, basename="audit_entry")
router.register("history-entries", corrections.HistoryEntryViewSet, basename="history_entry")
router.register("freezes", calendar.FreezeViewSet, basename="freeze")

urlpatterns = [
    path("history-entries/<str:entry_id>/correct", corrections.CorrectionView.as_view()),
    path("audit/verify", audit.AuditVerifyView.as_view()),
    path("audit/export/<str:format>", audit.AuditExportView.as_view()),
    path("approvals", approvals.ApprovalListView.as_view()),
    path("approvals/<str:approval_id>", approvals.ApprovalView.as_view()),
    path("approvals/<str:approval_id>/approve", approvals.ApproveView.as_view()),
    path("approvals/<str:approval_id>/reject", approvals.RejectView.as_view()),
    path("updates/history", history.HistoryView.as_view()),
    path("updates/history/export/<str:format>", history.ExportView.as_view()),
    path("updates/history/<str:name>", history.ServiceHistoryView.as_view()),
    path("updates/history/<str:name>/export/<str:format>", history.ServiceExportView.as_view()),
    path("updates/jobs", jobs.JobListView.as_view()),
    path("updates/jobs/<str:job_id>", jobs.JobView.as_view()),
    re_path(
        r"^updates/jobs/(?P<job_id>[^/]+)/(?P<verb>pause|resume|promote|abort|retry|acknowledge)$",
        jobs.JobVerbView.as_view(),
    ),
    path("updates/statistics", history.StatisticsView.as_view()),
    path("updates/statistics/dora", history.DoraView.as_view()),
    path("targets/<str:id>/stop", targets.TargetStopView.as_view()),
    path("nodes", nodes.NodeListView.as_view()),
    path("nodes/join-tokens", nodes.JoinTokenView.as_view()),
    path("nodes/<str:name>", nodes.NodeView.as_view()),
    path("nodes/<str:name>/approve", nodes.NodeApproveView.as_view()),
    path("nodes/<str:name>/revoke", nodes.NodeRevokeView.as_view()),
    path("nodes/<str:name>/rotate", nodes.NodeRotateView.as_view()),
    path("nodes/<str:name>/services", nodes.NodeServicesView.as_view()),
    path("agent/join", agents.JoinView.as_view()),
    path("agent/poll", agents.PollView.as_view()),
    path("agent/token", agents.AgentTokenView.as_view()),
    path("agent/orders/<str:order_id>", agents.OrderReportView.as_view()),
    path("agent/orders/<str:order_id>/outcome", agents.OrderOutcomeView.as_view()),
    path("agent/services/register", agent_services.AgentRegisterView.as_view()),
    path("agent/services/<str:name>", agent_services.AgentServiceView.as_view()),
    path("agent/services/<str:name>/heartbeat", agent_services.AgentHeartbeatView.as_view()),
    path("artifacts", uploads.UploadListView.as_view()),
    path("artifacts/<str:upload_id>", uploads.UploadView.as_view()),
    path("artifacts/<str:upload_id>/content", uploads.UploadContentView.as_view()),
    path("sources", sources.SourceListView.as_view()),
    path("sources/<str:source_id>", sources.SourceView.as_view()),
    path("sources/<str:source_id>/check", sources.SourceCheckView.as_view()),
    path("releases", releases.ReleaseListView.as_view()),
    path("releases/<str:release_id>", releases.ReleaseView.as_view()),
    path("releases/<str:release_id>/quarantine", releases.QuarantineView.as_view()),
    path("releases/<str:release_id>/withdraw", releases.WithdrawView.as_view()),
    path("releases/<str:release_id>/release", releases.MakeAvailableView.as_view()),
    path("updates/plan", plan.PlanView.as_view()),
    *router.urls,
]
