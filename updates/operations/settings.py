"""What staff and programs set for updates: policies, skips, the calendar, targets, and their rules."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import NON_FIELD_ERRORS

from registry import names
from registry.operations.configured import Faults, Kind, selector_faults
from saga_project.shared import labels, versions, wakeups
from updates.models import (
    Credential,
    Freeze,
    Hold,
    MaintenanceWindow,
    Policy,
    PolicyRules,
    SelectorPolicy,
    Source,
    Target,
)
from updates.operations import target_faults
from updates.releases import credentials
from updates.rollouts import measuring, strategy_options


def _policy_faults(policy: PolicyRules) -> Faults:
    try:
        versions.parse_range(policy.version_range)
    except versions.RangeError as exc:
        return {"version_range": str(exc)}
    try:
        versions.compile_pattern(policy.version_pattern)
    except versions.PatternError as exc:
        return {"version_pattern": str(exc)}
    if policy.version_scheme == "regex" and not policy.version_pattern:
        return {"version_pattern": "The scheme regex needs a pattern with named groups."}
    if not isinstance(policy.strategy_options, dict):
        return {"strategy_options": 'Write an object, such as {"max_unavailable": 1}.'}
    try:
        strategy_options.read(policy.strategy_options)
    except strategy_options.InvalidOptions as exc:
        return {"strategy_options": str(exc)}
    try:
        measuring.read(policy.metrics)
    except measuring.InvalidMetrics as exc:
        return {"metrics": str(exc)}
    return {}


def _selector_policy_faults(policy: SelectorPolicy) -> Faults:
    if policy.pk is None and not names.is_name(policy.name):
        return {"name": "Use A-Z a-z 0-9 . _ - and begin with a letter or digit."}
    if fault := labels.SELECTOR.fault(policy.selector):
        return {"selector": fault}
    return _policy_faults(policy)


def _hold_faults(hold: Hold) -> Faults:
    if not hold.version and hold.expires_at is None:
        return {"expires_at": "Without a version, all updates are snoozed: say until when."}
    return {}


def _freeze_faults(freeze: Freeze) -> Faults:
    begin, end = (freeze.starts_on, freeze.starts_at), (freeze.ends_on, freeze.ends_at)
    if None not in (*begin, *end) and end <= begin:
        return {"ends_on": "A freeze ends after its start."}
    return selector_faults(freeze, what="freeze")


def _window_faults(window: MaintenanceWindow) -> Faults:
    if window.duration_minutes is not None and not 1 <= window.duration_minutes <= 10080:
        return {"duration_minutes": "A window is open for 1 to 10080 minutes, which is a week."}
    return selector_faults(window, what="window")


def _credential_faults(credential: Credential) -> Faults:
    found = credentials.fault(credential, secret=credential.secret)
    return {NON_FIELD_ERRORS: found} if found else {}


def _apply_policy(row: Any) -> None:
    if row.service_id is not None:
        wakeups.wake("updates.apply_policy", row.service_id)


POLICY = Kind(model=Policy, name="policy", find_faults=_policy_faults, wake_up=_apply_policy)
SELECTOR_POLICY = Kind(
    model=SelectorPolicy, name="selector_policy", find_faults=_selector_policy_faults
)
HOLD = Kind(model=Hold, name="hold", find_faults=_hold_faults, wake_up=_apply_policy)
WINDOW = Kind(
    model=MaintenanceWindow, name="window", find_faults=_window_faults, wake_up=_apply_policy
)
FREEZE = Kind(model=Freeze, name="freeze", find_faults=_freeze_faults, wake_up=_apply_policy)
TARGET = Kind(model=Target, name="target", find_faults=target_faults.find)
SOURCE = Kind(model=Source, name="source", wake_up=_apply_policy)
CREDENTIAL = Kind(model=Credential, name="credential", find_faults=_credential_faults)
