"""Webhooks at GitHub whose deliveries are recovered."""

from __future__ import annotations

import re
from typing import Any

from registry.operations.configured import Faults, Kind
from saga_project.shared import http_client
from webhooks.models import GitHubHook

_REPOSITORY = re.compile(r"[A-Za-z0-9._-]+/[A-Za-z0-9._-]+", re.ASCII)


def _faults(hook: Any) -> Faults:
    if _REPOSITORY.fullmatch(hook.repository) is None:
        return {"repository": "A repository is owner/name."}
    try:
        http_client.check_url(hook.api_url, field="api_url")
    except http_client.InvalidUrl as exc:
        return {"api_url": exc.message}
    return {}


GITHUB_HOOK = Kind(model=GitHubHook, name="github_hook", find_faults=_faults)
