"""Notification rules: what they may say."""

from __future__ import annotations

import re
from collections.abc import Iterator

from registry.operations.configured import Faults, Kind
from saga_project.shared import labels
from webhooks.models import NotificationRule
from webhooks.models.notification_rule import MAX_GLOBS, MAX_RULE_CHANNELS
from webhooks.operations.configuration import CHANNEL
from webhooks.outbound.notices import EVERY_CHANNEL

_GLOB = re.compile(r"[A-Za-z0-9._*?\[\]!-]{1,64}", re.ASCII)
_SERVICE_GLOB = re.compile(r"[A-Za-z0-9._*?\[\]!-]{1,128}", re.ASCII)


def _rule_faults(rule: NotificationRule) -> Faults:
    return dict(_faults(rule))


def _faults(rule: NotificationRule) -> Iterator[tuple[str, str]]:
    if not 1 <= len(rule.event_types) <= MAX_GLOBS:
        yield "event_types", f"Name 1 to {MAX_GLOBS} types of events, or patterns of them."
    elif not all(_GLOB.fullmatch(each) for each in rule.event_types):
        yield "event_types", "A type is such as deployment.failed, a pattern such as service.*."
    if not 1 <= len(rule.channels) <= MAX_RULE_CHANNELS:
        yield "channels", f"Name 1 to {MAX_RULE_CHANNELS} channels."
    elif not all(each == EVERY_CHANNEL or CHANNEL.fullmatch(each) for each in rule.channels):
        yield "channels", "A channel's name has letters, digits and . _ - only; * is every channel."
    if _SERVICE_GLOB.fullmatch(rule.service_glob) is None:
        yield "service_glob", "A pattern of names is such as pay*."
    if rule.service_id is not None and rule.service_glob != "*":
        yield "service_glob", "A rule of one service takes no pattern of names."
    if rule.selector and (fault := labels.SELECTOR.fault(rule.selector)):
        yield "selector", fault
    if rule.selector and rule.service_id is not None:
        yield "selector", "A rule of one service takes no selector of labels."
    if (rule.quiet_from is None) != (rule.quiet_until is None):
        yield "quiet_until", "Quiet hours have a beginning and an end."


RULE = Kind(model=NotificationRule, name="rule", find_faults=_rule_faults)
