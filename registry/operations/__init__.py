"""Everything that changes the registry: register, renew, deregister, approve, reject, report, drain.

Each operation owns its transaction, writes its events in it, and shows the result to readers when it
commits. A heartbeat without news touches Redis only. This is the registry's whole command
surface: the apps above, the API and the admin call ``operations.<verb>``.
"""

from __future__ import annotations

from registry.operations.heartbeats import Heartbeat, Renewed, is_news, renew, renew_many
from registry.operations.notes import MAX_NOTES, set_notes
from registry.operations.profiles import (
    HeartbeatAnswer,
    Profile,
    register_profile,
    renew_profile,
    update_profile,
)
from registry.operations.registration import (
    Registered,
    Registration,
    as_registered,
    register,
    same_instance,
)
from registry.operations.registration_batch import NewRegistration, register_new
from registry.operations.reports import (
    begin_rollout,
    clear_canary,
    end_rollout,
    ensure_service,
    note_report,
    record_health,
    record_version,
    set_canary,
    set_draining,
    switch_instances,
)
from registry.operations.rows import DEFAULT_INSTANCE, HEALTH_OF_REPORT
from registry.operations.standing import approve, deregister, reject
from registry.operations.subscriptions import (
    SubscriptionChange,
    cancel_subscription,
    change_subscription,
    find_subscription,
    is_subscriber,
    move_subscription,
    subscribe,
    visible_subscriptions,
)

__all__ = [
    "DEFAULT_INSTANCE",
    "HEALTH_OF_REPORT",
    "MAX_NOTES",
    "Heartbeat",
    "HeartbeatAnswer",
    "NewRegistration",
    "Profile",
    "Registered",
    "Registration",
    "Renewed",
    "SubscriptionChange",
    "approve",
    "as_registered",
    "begin_rollout",
    "cancel_subscription",
    "change_subscription",
    "clear_canary",
    "deregister",
    "end_rollout",
    "ensure_service",
    "find_subscription",
    "is_news",
    "is_subscriber",
    "move_subscription",
    "note_report",
    "record_health",
    "record_version",
    "register",
    "register_new",
    "register_profile",
    "reject",
    "renew",
    "renew_many",
    "renew_profile",
    "same_instance",
    "set_canary",
    "set_draining",
    "set_notes",
    "subscribe",
    "switch_instances",
    "update_profile",
    "visible_subscriptions",
]
