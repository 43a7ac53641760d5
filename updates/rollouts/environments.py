"""The environment that a target declares for its commands: plain and sealed values, kept per deployment.

A deployment keeps the values that the target declared when it began. A rollback to a version starts it
with the values that it ran with before.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from django.db import models

from saga_project.shared import crypto
from updates.models import DeployedEnvironment, Job, Target
from updates.step_context import Environment

MAX_VARIABLES = 200
MAX_VALUE_LENGTH = 32_768
RESERVED_PREFIX = "SAGA_"
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}", re.ASCII)


def fault(values: object) -> str | None:
    """Return why these values cannot be an environment, None where they can."""
    if not isinstance(values, dict):
        return "An environment is a JSON object of names and texts."
    if len(values) > MAX_VARIABLES:
        return f"An environment has at most {MAX_VARIABLES} variables."
    for name, value in values.items():
        if not _NAME.fullmatch(name):
            return f"{name!r} is not the name of an environment variable."
        if name.startswith(RESERVED_PREFIX):
            return f"{name} is set by Saga: names must not begin with {RESERVED_PREFIX}."
        if not isinstance(value, str) or "\0" in value or len(value) > MAX_VALUE_LENGTH:
            return f"The value of {name} must be a text of at most {MAX_VALUE_LENGTH:,} characters."
    return None


def seal(values: Mapping[str, str]) -> str:
    return crypto.encrypt(json.dumps(dict(values))) if values else ""


def unseal(sealed: str) -> dict[str, str]:
    """Return the sealed values; raises SecretUnreadable."""
    return dict(json.loads(crypto.decrypt(sealed))) if sealed else {}


def of_step(job: Job, target: Target, *, restored: str | None) -> Environment:
    """Return what the target's version is started with: the job's, or the ``restored`` one's."""
    if job.kind == Job.Kind.DEPLOY and restored is None:
        return _read(_deployed(job, target))
    known = DeployedEnvironment.objects.filter(target=target, version=restored or job.version)
    before = known.filter(_succeeded_before(), job_id__lt=job.pk).order_by("-job_id").first()
    return _read(before) if before else _read(target)


def _succeeded_before() -> models.Q:
    return models.Q(job__status=Job.Status.SUCCEEDED)


def declared(target: Target) -> Environment:
    """Return what the target declares now; raises SecretUnreadable."""
    return _read(target)


def _deployed(job: Job, target: Target) -> DeployedEnvironment:
    """Keep what the target declares now, once per job."""
    kept, _ = DeployedEnvironment.objects.get_or_create(
        job=job,
        target=target,
        defaults={
            "version": job.version,
            "environment": target.environment,
            "sealed_environment": target.sealed_environment,
        },
    )
    return kept


def _read(row: DeployedEnvironment | Target) -> Environment:
    return Environment(plain=dict(row.environment), sealed=unseal(row.sealed_environment))
