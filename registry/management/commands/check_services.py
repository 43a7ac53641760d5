"""Make the health checks of services: many at once, shared with the other processes that do the same."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser

from registry.background import checking


class Command(BaseCommand):
    help = (
        "Make health checks until SIGTERM. Any number may run: they share the checks, and take over those of"
        " one that ends. Checks that name a node are made where SAGA_NODE_NAME is that node."
    )
    requires_system_checks = ["saga"]

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--only-node",
            action="store_true",
            help="Make no checks but those that name this node.",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        checking.run(node=settings.SAGA_NODE_NAME, is_general=not options["only_node"])
