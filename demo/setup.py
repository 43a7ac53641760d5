"""Set up the demo's service as staff would in the admin: its targets, and how its canaries go."""

from __future__ import annotations

import json
import sys

import django

django.setup()

from registry.operations import ensure_service  # noqa: E402 (Django must be ready before its models)
from updates.models import Policy, Target  # noqa: E402

CANARY = {"steps": [{"weight": 34, "pause_seconds": 5}]}


def main(name: str, targets: str) -> None:
    service = ensure_service(name)
    Policy.objects.create(service=service, strategy="canary", strategy_options=CANARY)
    for fields in json.loads(targets):
        Target.objects.create(service=service, **fields)


if __name__ == "__main__":
    main(*sys.argv[1:])
