"""The command surface of updates for the apps above."""

from updates.history.forwarding import forward as forward_audit
from updates.operations.approvals import deploy_or_ask, roll_back_or_ask
from updates.operations.approvals import request as request_approval
from updates.operations.checks import check, reads_from, request_check
from updates.operations.corrections import correct
from updates.operations.decisions import (
    SIGNED_WEBHOOK,
    WEBHOOK,
    approve,
    approvers_of,
    has_decided,
    is_own,
    reject,
    required_of,
)
from updates.operations.job_verbs import abort, acknowledge, pause, promote, resume, retry
from updates.operations.jobs import deploy, roll_back
from updates.operations.leftovers import stop_target
from updates.operations.policies import apply_policies, apply_policy
from updates.operations.releases import (
    ReleaseNotice,
    announce,
    make_available,
    quarantine,
    receive_notice,
    withdraw,
)
from updates.operations.selections import Details
from updates.operations.sources import SETTABLE as SETTABLE_OF_SOURCE
from updates.operations.sources import add_source, change_source, remove_source
from updates.policies.change_freeze import NO_EXEMPTIONS, GateExemptions, Override, override_of
from updates.policies.comparison import CheckResult
from updates.releases.recording import Announcement

__all__ = [
    "NO_EXEMPTIONS",
    "SETTABLE_OF_SOURCE",
    "SIGNED_WEBHOOK",
    "WEBHOOK",
    "Announcement",
    "CheckResult",
    "Details",
    "GateExemptions",
    "Override",
    "ReleaseNotice",
    "abort",
    "acknowledge",
    "add_source",
    "announce",
    "apply_policies",
    "apply_policy",
    "approve",
    "approvers_of",
    "change_source",
    "check",
    "correct",
    "deploy",
    "deploy_or_ask",
    "forward_audit",
    "has_decided",
    "is_own",
    "make_available",
    "override_of",
    "pause",
    "promote",
    "quarantine",
    "reads_from",
    "receive_notice",
    "reject",
    "remove_source",
    "request_approval",
    "request_check",
    "required_of",
    "resume",
    "retry",
    "roll_back",
    "roll_back_or_ask",
    "stop_target",
    "withdraw",
]
