"""Template tags of the console: times, states, durations."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

from django import template
from django.apps import apps
from django.db.models import Model
from django.template import Context
from django.utils.html import format_html
from django.utils.safestring import SafeString

from saga_project.console import navigation
from updates.models import Step

register = template.Library()

#: Word → (icon, tone, what to say); never colour alone.
STATES = {
    "up": ("check_circle", "good", "up"),
    "passing": ("check_circle", "good", "passing"),
    "healthy": ("check_circle", "good", "healthy"),
    "active": ("check_circle", "good", "active"),
    "succeeded": ("check_circle", "good", "succeeded"),
    "success": ("check_circle", "good", "success"),
    "delivered": ("check_circle", "good", "delivered"),
    "accepted": ("check_circle", "good", "accepted"),
    "approved": ("check_circle", "good", "approved"),
    "available": ("check_circle", "good", "available"),
    "live": ("check_circle", "good", "live"),
    "degraded": ("warning", "warn", "degraded"),
    "warning": ("warning", "warn", "warning"),
    "paused": ("pause_circle", "warn", "paused"),
    "pending": ("hourglass_empty", "warn", "pending"),
    "pending_approval": ("hourglass_empty", "warn", "pending approval"),
    "suspended": ("pause_circle", "warn", "suspended"),
    "withdrawn": ("archive", "warn", "withdrawn"),
    "quarantined": ("gpp_maybe", "bad", "quarantined"),
    "rolling_back": ("undo", "warn", "rolling back"),
    "rolled_back": ("undo", "warn", "rolled back"),
    "expired": ("cancel", "bad", "expired"),
    "unreachable": ("cancel", "bad", "unreachable"),
    "critical": ("error", "bad", "critical"),
    "failed": ("error", "bad", "failed"),
    "dead": ("error", "bad", "dead"),
    "refused": ("block", "bad", "refused"),
    "rejected": ("block", "bad", "rejected"),
    "revoked": ("block", "bad", "revoked"),
    "running": ("progress_activity", "busy", "running"),
    "sending": ("progress_activity", "busy", "sending"),
    "draining": ("logout", "warn", "draining"),
    "skipped": ("remove", "mute", "skipped"),
    "cancelled": ("remove", "mute", "cancelled"),
    "superseded": ("remove", "mute", "superseded"),
    "left": ("logout", "mute", "left"),
    "queued": ("schedule", "busy", "queued"),
}
_NEUTRAL = ("radio_button_unchecked", "mute", "")
_EVENT_TONES = {
    "expired": "expired",
    "unreachable": "unreachable",
    "suspect": "warning",
    "failed": "failed",
    "dead": "dead",
    "crashed": "failed",
    "rejected": "rejected",
    "degraded": "degraded",
    "rolled_back": "rolled_back",
    "paused": "paused",
    "quarantined": "quarantined",
    "recovered": "up",
    "succeeded": "succeeded",
    "approved": "approved",
}
_EVENT_ICONS = {
    "service": "dns",
    "health": "monitor_heart",
    "lifecycle": "autorenew",
    "release": "inventory_2",
    "update": "upgrade",
    "deployment": "rocket_launch",
    "webhook": "webhook",
    "delivery": "send",
}
FACTS_SHOWN = 3
_UNITS = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))


@register.simple_tag
def state(word: str, text: str = "") -> SafeString:
    """Draw a state as a badge: icon, word and tone."""
    icon, tone, label = STATES.get(word, (*_NEUTRAL[:2], word.replace("_", " ")))
    return badge(tone, text or label, icon)


def badge(tone: str, text: str, icon: str = "") -> SafeString:
    sign = format_html('<span class="material-symbols-outlined" aria-hidden="true">{}</span>', icon)
    return format_html('<span class="sg-badge sg-{}">{}{}</span>', tone, sign if icon else "", text)


@register.simple_tag
def at(moment: dt.datetime | None, how: str = "absolute") -> SafeString | str:
    """Draw a time: UTC as it stands, the reader's zone by console.js."""
    if moment is None:
        return "–"
    utc = moment.astimezone(dt.UTC)
    return format_html(
        '<time datetime="{}" data-as="{}" title="{} UTC">{} UTC</time>',
        utc.strftime("%Y-%m-%dT%H:%M:%SZ"),
        how,
        utc.strftime("%Y-%m-%d %H:%M:%S"),
        utc.strftime("%Y-%m-%d %H:%M:%S"),
    )


@register.simple_tag(takes_context=True)
def trail(context: Context) -> list[tuple[str, str]]:
    """Return the way to this page, as titles and links: the list of its kind, then itself."""
    options, original = context.get("opts"), context.get("original")
    label = options.label_lower if options else context.get("sg_list")
    here = str(original if isinstance(original, Model) else context.get("title") or "")
    if not label:
        return [(here, "")]
    if options and "cl" in context:
        return [(navigation.title_of(options), "")]
    known = options or apps.get_model(label)._meta
    return [(navigation.title_of(known), navigation.list_of(label)), (here, "")]


@register.filter
def seconds(value: float | None) -> str:
    """Format a duration with at most two units."""
    if value is None:
        return "–"
    rest, words = int(value), []
    for size, unit in _UNITS:
        count, rest = divmod(rest, size)
        if count:
            words.append(f"{count} {unit}")
    return " ".join(words[:2]) or "0 s"


@register.filter
def took(record: Any) -> float | None:
    """Return how long something with a start and an end lasted, in seconds."""
    if record.started_at is None or record.finished_at is None:
        return None
    return float((record.finished_at - record.started_at).total_seconds())


@register.filter
def now(step: Step) -> str:
    """Return the word for a step; a pause that runs is nothing that works."""
    is_pause = step.name == "pause" and step.status == Step.Status.RUNNING
    return "paused" if is_pause else step.status


@register.filter
def tone(word: str) -> str:
    """Return a step's tone; one that only waits its turn is nothing to look at."""
    return _NEUTRAL[1] if word == "pending" else STATES.get(word, _NEUTRAL)[1]


@register.filter
def icon(word: str) -> str:
    return _NEUTRAL[0] if word == "pending" else STATES.get(word, _NEUTRAL)[0]


@register.filter
def event_icon(type_: str) -> str:
    return _EVENT_ICONS.get(type_.partition(".")[0], "circle")


@register.filter
def event_tone(type_: str) -> str:
    word = _EVENT_TONES.get(type_.partition(".")[2], "")
    return STATES[word][1] if word else "mute"


@register.filter
def facts(data: Any) -> list[tuple[str, str]]:
    """Return the first things that an event's data says, without what is unknown, as pairs for people."""
    if not isinstance(data, dict):
        return []
    known = [
        (key, value)
        for key, value in data.items()
        if key != "kind" and value not in (None, False, "", [], {})
    ]
    return [(key.replace("_", " "), _spoken(value)) for key, value in known[:FACTS_SHOWN]]


def _spoken(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return ", ".join(_spoken(item) for item in value)
    return json.dumps(value, ensure_ascii=False)


@register.filter
def pretty(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False, default=str)
