"""The types of events about releases and updates: the shape of their data."""

from __future__ import annotations

from typing import TypedDict

from registry.events.event_types import EventType


class ReleaseAnnouncedData(TypedDict):
    version: str
    origin: str
    channel: str | None


class ReleaseMovedData(TypedDict):
    version: str
    reason: str | None


class UpdateAvailableData(TypedDict):
    current_version: str | None
    latest_version: str


class AwaitingApprovalData(TypedDict):
    version: str


class ApprovalDecidedData(TypedDict):
    version: str
    by: str


class ApprovalGivenData(TypedDict):
    version: str
    by: str
    approvals: int
    required: int


class ApprovalExpiredData(TypedDict):
    version: str
    requested_by: str | None


class SourceFailedData(TypedDict):
    reason: str


class SourceRecoveredData(TypedDict):
    pass


class DriftedData(TypedDict):
    deployed_version: str
    reported_version: str


class HandedOverData(TypedDict):
    account: str
    dropped: dict[str, list[str]]
    handed_over: dict[str, list[str]]


class TargetStoppedData(TypedDict):
    target: str
    node: str
    version: str | None
    may_still_run: bool
    message: str


class DeploymentData(TypedDict):
    job_id: str
    kind: str
    version: str
    previous_version: str | None
    strategy: str
    error: str | None


class PauseData(TypedDict, total=False):
    """Why a deployment waits and for how long; null: until staff decide."""

    reason: str
    resumes_after_seconds: int | None
    expires_after_seconds: int | None
    on_expiry: str


class DeploymentPausedData(DeploymentData, PauseData):
    pass


class DeploymentPromotedData(DeploymentData):
    is_fully: bool


class DeploymentOverriddenData(DeploymentData):
    by: str
    reason: str
    obstacles: dict[str, str]


class DeploymentEndedData(DeploymentData):
    needs_attention: bool


class AcknowledgedData(TypedDict):
    job_id: str
    by: str


TYPES = (
    EventType("service.drifted", DriftedData, "Another version runs than Saga deployed last."),
    EventType(
        "service.handed_over", HandedOverData, "What an account got with a service, and what not."
    ),
    EventType("release.announced", ReleaseAnnouncedData, "A release came."),
    EventType("release.available", ReleaseMovedData, "A release can be deployed again."),
    EventType("release.quarantined", ReleaseMovedData, "No policy deploys this release."),
    EventType("release.withdrawn", ReleaseMovedData, "This release cannot be deployed."),
    EventType("update.available", UpdateAvailableData, "A newer version was found."),
    EventType("update.awaiting_approval", AwaitingApprovalData, "An update waits for a decision."),
    EventType("update.approval_given", ApprovalGivenData, "One of several approvals was given."),
    EventType("update.approved", ApprovalDecidedData, "An update was approved."),
    EventType("update.rejected", ApprovalDecidedData, "An update was rejected."),
    EventType("update.approval_expired", ApprovalExpiredData, "A request was not decided in time."),
    EventType("update.check_failed", SourceFailedData, "A source cannot be read."),
    EventType("update.check_recovered", SourceRecoveredData, "A source can be read again."),
    EventType("deployment.queued", DeploymentData, "A deployment is queued."),
    EventType("deployment.overridden", DeploymentOverriddenData, "Staff overrode the calendar."),
    EventType("deployment.started", DeploymentData, "A deployment began."),
    EventType("deployment.paused", DeploymentPausedData, "A deployment waits."),
    EventType("deployment.promoted", DeploymentPromotedData, "A deployment goes on."),
    EventType("deployment.succeeded", DeploymentEndedData, "The new version runs."),
    EventType("deployment.failed", DeploymentEndedData, "A deployment failed."),
    EventType("deployment.rolled_back", DeploymentEndedData, "The previous version runs again."),
    EventType("deployment.cancelled", DeploymentEndedData, "A deployment was cancelled."),
    EventType("deployment.acknowledged", AcknowledgedData, "Staff acknowledged a failed rollback."),
    EventType("target.stopped", TargetStoppedData, "What ran on a target was stopped."),
)
