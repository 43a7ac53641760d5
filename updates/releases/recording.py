"""Put releases on record, and move them between available, quarantined and withdrawn."""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass
from typing import Any

from django.db.models import Q
from django.utils import timezone

from registry import events, names
from registry.models import Service
from saga_project.shared import http_client, transitions, versions
from updates import errors, event_constructors
from updates.models import Approval, Job, Release, Step

MAX_TEXT = 64 * 1024
#: The step that holds an artifact against what was announced of it.
VERIFY = "verify"
_IMAGE = re.compile(
    r"[a-z0-9][a-z0-9.-]*(?::[0-9]{1,5})?(?:/[a-z0-9._-]+)*(?::[A-Za-z0-9_][A-Za-z0-9._-]{0,127})?"
    r"(?:@sha256:[0-9a-f]{64})?"
)


@dataclass(frozen=True, kw_only=True)
class Announcement:
    """A release as its source announces it; ``published_at`` is the source's own time."""

    version: str
    artifact_url: str = ""
    artifact_type: str = Release.ArtifactType.BINARY
    checksum: str = ""
    size_bytes: int | None = None
    signature: str = ""
    notes: str = ""
    channel: str = ""
    needs_channel: bool = False
    is_prerelease: bool = False
    artifact_problem: str = ""
    scheme: str = versions.AUTO
    published_at: dt.datetime | None = None


_OF_ARTIFACT = {"artifact_url", "checksum", "size_bytes", "signature"}
#: What a later announcement may add where the first left it open.
_FILLABLE = ("artifact_url", "checksum", "size_bytes", "signature", "notes", "published_at")


def evaluate(announcement: Announcement) -> None:
    """Raise InvalidRequest unless the announcement can be stored; where its URL leads is checked later."""
    names.check_version(announcement.version)
    if announcement.artifact_type not in Release.ArtifactType.values:
        kinds = ", ".join(Release.ArtifactType.values)
        raise errors.InvalidArtifact(f"'artifact_type' is one of {kinds}.", field="artifact_type")
    is_image = announcement.artifact_type == Release.ArtifactType.IMAGE
    if announcement.artifact_url and not (is_image and _is_image(announcement.artifact_url)):
        http_client.check_url(announcement.artifact_url, field="artifact_url")
    if len(announcement.checksum) > 256 or not announcement.checksum.isprintable():
        raise errors.InvalidArtifact("'checksum' has at most 256 characters.", field="checksum")
    if len(announcement.channel) > 64:
        raise errors.InvalidArtifact("'channel' has at most 64 characters.", field="channel")


def _is_image(reference: str) -> bool:
    return len(reference) <= http_client.MAX_URL_LENGTH and _IMAGE.fullmatch(reference) is not None


def record(
    service: Service, announcement: Announcement, *, origin: str, by: str = ""
) -> tuple[Release, bool]:
    """Return the release and whether it is news, inside the caller's transaction.

    The same again changes nothing, but fills what was left open. Another artifact replaces one that was
    never verified, and is refused with ReleaseDiffers after that. ``by`` becomes an author of the release
    where it says something of its artifact; sources name no author.
    """
    release, is_new = Release.objects.select_for_update().get_or_create(
        service=service,
        version=announcement.version,
        defaults={
            **{name: getattr(announcement, name) for name in _FILLABLE},
            "artifact_type": announcement.artifact_type,
            **_changing_facts(announcement),
            "origin": origin,
            "authors": [by] if by else [],
            "recorded_at": timezone.now(),
        },
    )
    if is_new:
        return release, True
    difference = _difference(release, announcement)
    if difference is not None and _was_verified(release):
        raise difference
    if difference is not None:
        _replace_artifact(release, announcement, by=by)
    _fill(release, announcement, by=by)
    return release, difference is not None


def _changing_facts(announcement: Announcement) -> dict[str, Any]:
    """Return what a source may say otherwise later."""
    is_prerelease = versions.is_prerelease(announcement.version, announcement.scheme)
    return {
        "channel": announcement.channel,
        "needs_channel": announcement.needs_channel,
        "is_prerelease": announcement.is_prerelease or is_prerelease,
        "is_marked_prerelease": announcement.is_prerelease,
        "artifact_problem": announcement.artifact_problem,
    }


def follow(release: Release, announcement: Announcement) -> None:
    """Take over what the release's source says of it now, inside the caller's transaction."""
    facts_now = _changing_facts(announcement)
    changed = {name: draft for name, draft in facts_now.items() if getattr(release, name) != draft}
    if changed:
        for name, draft in changed.items():
            setattr(release, name, draft)
        release.save(update_fields=list(changed))


def is_same(release: Release, announcement: Announcement) -> bool:
    """Whether the announcement neither adds to the release nor changes it."""
    stated = ("artifact_url", "checksum", "size_bytes", "published_at")
    adds_nothing = all(
        getattr(announcement, name) in ("", None, getattr(release, name)) for name in stated
    )
    facts_now = _changing_facts(announcement)
    return adds_nothing and all(
        getattr(release, name) == draft for name, draft in facts_now.items()
    )


def _was_verified(release: Release) -> bool:
    """Whether a job has fetched the artifact and found it as announced, is at work on it, or ended well."""
    is_verified = Q(steps__name=VERIFY, steps__status=Step.Status.SUCCEEDED)
    has_run = Q(status__in=[Job.Status.SUCCEEDED, *Job.LIVE])
    return Job.objects.filter(is_verified | has_run, release=release).exists()


def _replace_artifact(release: Release, announcement: Announcement, *, by: str) -> None:
    """Correct a release that never ran; what described the other artifact is dropped.

    An approval was given or asked for the other artifact: it holds no longer, unless a job came of it.
    """
    names_of_artifact = ("artifact_url", "artifact_type", "checksum", "size_bytes", "signature")
    for name in names_of_artifact:
        setattr(release, name, getattr(announcement, name))
    release.authors = [by] if by else []
    release.save(update_fields=[*names_of_artifact, "authors"])
    open_approvals = Approval.objects.filter(release=release, job_id="")
    transitions.move_rows(open_approvals, Approval.State.SUPERSEDED, decided_at=timezone.now())


def ask_anew(release: Release, *, at: dt.datetime) -> None:
    """Forget that a request about the release expired, since it was announced again."""
    expired = Approval.objects.filter(release=release, state=Approval.State.EXPIRED)
    transitions.move_rows(expired, Approval.State.SUPERSEDED, decided_at=at)


def _difference(release: Release, announcement: Announcement) -> errors.ReleaseDiffers | None:
    """Return how the announced artifact differs from the one on record, None where it may be the same."""
    known, announced = _bare_digest(release.checksum), _bare_digest(announcement.checksum)
    if known and announced and known != announced:
        return errors.ReleaseDiffers(
            f"Release {release.version} of '{release.service.name}' is on record with another checksum;"
            " publish a new version instead.",
            field="checksum",
        )
    has_other_url = release.artifact_url and announcement.artifact_url not in (
        "",
        release.artifact_url,
    )
    if has_other_url and not (known and announced):
        return errors.ReleaseDiffers(
            f"Release {release.version} of '{release.service.name}' is on record with another URL, and no"
            " checksum shows whether it is the same; publish a new version instead.",
            field="artifact_url",
        )
    return None


def _bare_digest(checksum: str) -> str:
    return checksum.lower().removeprefix("sha256:")


def _fill(release: Release, announcement: Announcement, *, by: str) -> None:
    missing = {
        name: getattr(announcement, name)
        for name in _FILLABLE
        if getattr(release, name) in ("", None) and getattr(announcement, name) not in ("", None)
    }
    if missing:
        for name, value in missing.items():
            setattr(release, name, value)
        if by and by not in release.authors and _OF_ARTIFACT.intersection(missing):
            release.authors = [*release.authors, by]
        release.save(update_fields=[*missing, "authors"])


def move(release: Release, *, to: str, reason: str, at: dt.datetime) -> bool:
    """Move the release inside the caller's transaction and publish that; False if it is there already."""
    if not transitions.move(release, to, state_reason=reason, state_changed_at=at):
        release.refresh_from_db(fields=["state"])
        if release.state == to:
            return False
        raise errors.IllegalReleaseMove(f"A release that is {release.state} cannot become {to}.")
    events.publish(
        event_constructors.release_moved(
            release.service.name, version=release.version, state=to, reason=reason
        )
    )
    return True
