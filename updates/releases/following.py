"""Record what a source or a sender says of its releases, and follow what it says later.

A pre-release becomes a release, a dist-tag moves, a file arrives, a version is yanked or vanishes.
"""

from __future__ import annotations

import dataclasses
import datetime as dt

from registry import events
from registry.models import Service
from saga_project.shared import errors as saga_errors
from updates import event_constructors
from updates.errors import ReleaseDiffers
from updates.models import Release
from updates.releases import recording
from updates.releases.sources import Answer, Found

BY_ITS_SOURCE = "Taken back by its source."
_ANNOUNCED = {field.name for field in dataclasses.fields(recording.Announcement)}


def record_answer(service: Service, answer: Answer, *, origin: str) -> list[str]:
    """Put what is new on record, oldest first; return what is wrong with the rest, or missing."""
    if answer.found is None:
        return []
    known = {release.version: release for release in service.releases.all()}
    is_first_answer = not any(release.origin == origin for release in known.values())
    doubts = [answer.warning] if answer.warning else []
    for place, item in reversed(list(enumerate(answer.found))):
        # Of a source's whole past only the newest is news.
        is_news = place == 0 or not is_first_answer
        try:
            take(service, item, known.get(item.version), origin=origin, is_news=is_news)
        except (ReleaseDiffers, saga_errors.InvalidRequest) as exc:
            doubts.append(f"{item.version}: {exc.message}")
    return doubts + _withdraw_missing(answer, known, origin=origin)


def take(
    service: Service,
    item: Found,
    known: Release | None,
    *,
    origin: str,
    is_news: bool = True,
    by: str = "",
) -> Release | None:
    """Record one release as its source, or the sender ``by``, describes it; None: not worth it."""
    if known is None and item.is_withdrawn:
        return None
    if known is not None and known.origin != origin and not item.channel:
        item = dataclasses.replace(item, channel=known.channel)
    announcement = _announcement(item)
    if known is None or not recording.is_same(known, announcement):
        recording.evaluate(announcement)
        known, is_new = recording.record(service, announcement, origin=origin, by=by)
        if not is_new:
            recording.follow(known, announcement)
        elif is_news:
            events.publish(
                event_constructors.release_announced(
                    service.name, version=known.version, origin=origin, channel=known.channel
                )
            )
    follow_withdrawal(known, is_withdrawn=item.is_withdrawn)
    return known


def _announcement(item: Found) -> recording.Announcement:
    fields = {name: value for name, value in vars(item).items() if name in _ANNOUNCED}
    return recording.Announcement(**fields)


def _withdraw_missing(answer: Answer, known: dict[str, Release], *, origin: str) -> list[str]:
    """Withdraw what a list that was read to its end holds no longer; an empty list is doubted instead."""
    if answer.listed is None:
        return []
    own = [release for release in known.values() if release.origin == origin]
    missing = [release for release in own if release.version not in answer.listed]
    if missing and not answer.listed:
        return ["The source lists no release any more."]
    for release in missing:
        follow_withdrawal(release, is_withdrawn=True)
    return []


def follow_withdrawal(release: Release, *, is_withdrawn: bool) -> None:
    now = dt.datetime.now(dt.UTC)
    if is_withdrawn and release.state == Release.State.AVAILABLE:
        recording.move(release, to=Release.State.WITHDRAWN, reason=BY_ITS_SOURCE, at=now)
    elif not is_withdrawn and release.state_reason == BY_ITS_SOURCE:
        recording.move(release, to=Release.State.AVAILABLE, reason="", at=now)
