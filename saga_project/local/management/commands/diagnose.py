"""Report what would keep Saga from starting or working here; exit 1 where something would."""

from __future__ import annotations

import sys
from typing import Any

from django.core.management.base import BaseCommand

from saga_project.local import diagnosis


class Command(BaseCommand):
    help = "Report what would keep Saga from starting or working on this machine, and what to do about it."
    requires_system_checks = []  # they are among what it looks at

    def handle(self, *args: Any, **options: Any) -> None:
        has_problem = False
        for finding in diagnosis.findings():
            has_problem |= finding.level == "problem"
            self.stdout.write(f"{finding.level:<8} {finding.subject:<12} {finding.text}")
        if has_problem:
            sys.exit(1)
