"""The command surface of updates for the apps above."""

from updates.checking import CheckResult
from updates.clearance import Override, override_of
from updates.operations.approvals import approve, reject
from updates.operations.approvals import request as request_approval
from updates.operations.checks import check
from updates.operations.corrections import correct
from updates.operations.jobs import (
    abort,
    acknowledge,
    deploy,
    pause,
    promote,
    resume,
    retry,
    roll_back,
)
from updates.operations.policies import apply_policies, apply_policy
from updates.operations.releases import announce, make_available, quarantine, withdraw
from updates.releases import Announcement

__all__ = [
    "Announcement",
    "CheckResult",
    "Override",
    "abort",
    "acknowledge",
    "announce",
    "apply_policies",
    "apply_policy",
    "approve",
    "check",
    "correct",
    "deploy",
    "make_available",
    "override_of",
    "pause",
    "promote",
    "quarantine",
    "reject",
    "request_approval",
    "resume",
    "retry",
    "roll_back",
    "withdraw",
]
