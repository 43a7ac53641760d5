"""Releases and sources, policies and calendar, history and audit trail."""

from updates.models.approval import Approval, ApprovalDecision
from updates.models.audit import AuditCursor, AuditEntry
from updates.models.calendar import Freeze, MaintenanceWindow
from updates.models.credential import Credential
from updates.models.history import HistoryEntry, HistoryTally
from updates.models.jobs import DeployedEnvironment, Job, JobTally, Step
from updates.models.measurement import Measurement
from updates.models.node import JoinToken, Node, NodeOrder, OrderKey
from updates.models.policy import Hold, Policy, PolicyRules, SelectorPolicy, policy_of
from updates.models.release import Release
from updates.models.source import Source
from updates.models.targets import Target
from updates.models.upload import Upload, UploadChunk
from updates.models.watch import Watch

__all__ = [
    "Approval",
    "ApprovalDecision",
    "AuditCursor",
    "AuditEntry",
    "Credential",
    "DeployedEnvironment",
    "Freeze",
    "HistoryEntry",
    "HistoryTally",
    "Hold",
    "Job",
    "JobTally",
    "JoinToken",
    "MaintenanceWindow",
    "Measurement",
    "Node",
    "NodeOrder",
    "OrderKey",
    "Policy",
    "PolicyRules",
    "Release",
    "SelectorPolicy",
    "Source",
    "Step",
    "Target",
    "Upload",
    "UploadChunk",
    "Watch",
    "policy_of",
]
