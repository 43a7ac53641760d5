"""Second factors in the audit trail, and when a session was last active."""

from __future__ import annotations

import datetime as dt
import time
from typing import Any

from allauth.mfa import signals
from allauth.mfa.models import Authenticator
from django.conf import settings
from django.contrib.auth.models import AbstractUser
from django.contrib.auth.signals import user_logged_in
from django.db import transaction
from django.dispatch import receiver
from django.utils import timezone

from saga_project.console.sign_in.sessions import ACTIVE_KEY
from saga_project.shared import auditing


@receiver(user_logged_in, dispatch_uid="console.active")
def note_active(*, request: Any, **_: Any) -> None:
    request.session[ACTIVE_KEY] = time.time()
    # A moment, not a time to live: clicks write the session anew and would prolong it without end.
    ends_at = timezone.now() + dt.timedelta(seconds=settings.SESSION_COOKIE_AGE)
    request.session.set_expiry(ends_at)


@receiver(signals.authenticator_added, dispatch_uid="console.factor_added")
def added(*, user: AbstractUser, authenticator: Authenticator, **_: Any) -> None:
    _record("factor.added", user, authenticator)


@receiver(signals.authenticator_removed, dispatch_uid="console.factor_removed")
def removed(*, user: AbstractUser, authenticator: Authenticator, **_: Any) -> None:
    _record("factor.removed", user, authenticator)


@receiver(signals.authenticator_reset, dispatch_uid="console.factor_renewed")
def renewed(*, user: AbstractUser, authenticator: Authenticator, **_: Any) -> None:
    _record("factor.renewed", user, authenticator)


@receiver(signals.authenticator_used, dispatch_uid="console.factor_used")
def used(*, user: AbstractUser, authenticator: Authenticator, **_: Any) -> None:
    if authenticator.type == Authenticator.Type.RECOVERY_CODES:
        _record("factor.recovered", user, authenticator)


@receiver(signals.authentication_failed, dispatch_uid="console.factor_failed")
def failed(*, user: AbstractUser, authenticator: Authenticator, **_: Any) -> None:
    _record("login.failed", user, authenticator)


def _record(action: str, user: AbstractUser, authenticator: Authenticator) -> None:
    with transaction.atomic():
        auditing.record(
            action,
            actor=user.get_username(),
            data={"factor": authenticator.type},
            at=timezone.now(),
        )
