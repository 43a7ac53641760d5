"""Commands to copy: they run as they stand where no token is asked for, else with one in SAGA_TOKEN."""

from __future__ import annotations

import json
import shlex
from typing import Any

from django.conf import settings
from django.http import HttpRequest

from saga_project.shared import callers


def base_of(request: HttpRequest) -> str:
    if settings.SAGA_PUBLIC_URL and not callers.is_loopback_host(request.get_host()):
        return f"{settings.SAGA_PUBLIC_URL}/api/v1"
    return f"{request.scheme}://{request.get_host()}/api/v1"


def of(name: str, *, version: str, base: str, url: str = "") -> dict[str, str]:
    """Return a command for each thing that a service or its pipeline does."""
    registration = {
        "service_name": name,
        "service_url": url or "http://127.0.0.1:9000",
        "capabilities": ["rest"],
    }
    deployment = {
        "service_name": name,
        "version": version or "1.0.0",
        "artifact_url": f"https://releases.example.com/{name}-{version or '1.0.0'}.tar.gz",
        "strategy": "rolling",
    }
    health = {"service_name": name, "status": "healthy"}
    return {
        "register": _post(f"{base}/services/register", registration),
        "heartbeat": _post(f"{base}/services/{name}/heartbeat", None),
        "lookup": _command("-s", f"{base}/services/{name}"),
        "health": _post(f"{base}/webhooks/health", health),
        "deploy": _post(f"{base}/webhooks/deploy", deployment),
        "leave": _command("-s", "-X", "DELETE", f"{base}/services/{name}"),
    }


def _post(address: str, body: dict[str, Any] | None) -> str:
    if body is None:
        return _command("-s", "-X", "POST", address)
    return _command(
        "-s", "-X", "POST", address, "-H", "Content-Type: application/json", "-d", json.dumps(body)
    )


def _command(*words: str) -> str:
    command = " ".join(["curl", *(shlex.quote(word) for word in words)])
    if settings.SAGA_AUTH == "local-token":
        path = shlex.quote(str(settings.SAGA_DATA_DIR / "secrets" / "local_token"))
        command += f' -H "Authorization: Bearer $(cat {path})"'
    elif settings.SAGA_AUTH == "required":
        command += ' -H "Authorization: Bearer $SAGA_TOKEN"'
    return command.replace(" -H ", " \\\n  -H ").replace(" -d ", " \\\n  -d ")
