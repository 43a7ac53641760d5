"""Logins in the audit trail: those that succeed, those that fail, and the end of a session."""

from __future__ import annotations

from typing import Any

from axes.signals import user_locked_out
from django.contrib.auth import signals
from django.db import transaction
from django.dispatch import receiver
from django.utils import timezone

from saga_project.shared import auditing

MAX_NAME_LENGTH = 150


@receiver(signals.user_logged_in, dispatch_uid="console.logged_in")
def logged_in(*, user: Any, **_: Any) -> None:
    _record("login.succeeded", user.get_username())


@receiver(signals.user_logged_out, dispatch_uid="console.logged_out")
def logged_out(*, user: Any, **_: Any) -> None:
    if user is not None:
        _record("login.ended", user.get_username())


@receiver(signals.user_login_failed, dispatch_uid="console.login_failed")
def login_failed(*, credentials: Any, **_: Any) -> None:
    _record("login.failed", str(credentials.get("username", "")))


@receiver(user_locked_out, dispatch_uid="console.locked_out")
def locked_out(*, username: Any, **_: Any) -> None:
    _record("login.locked", str(username or ""))


def _record(action: str, username: str) -> None:
    """Append an entry; a name that was only tried is what it claims to be, so it is shortened."""
    actor = username.replace("\x00", "")[:MAX_NAME_LENGTH] or "anonymous"
    with transaction.atomic():
        auditing.record(action, actor=actor, at=timezone.now())
