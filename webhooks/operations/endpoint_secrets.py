"""What a channel loses when it leads to another address: secrets, and the people that decide by it."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from webhooks.models import Configuration
from webhooks.outbound.approval_links import APPROVER, APPROVERS


def drop(configuration: Configuration, endpoints: Mapping[str, str]) -> None:
    """A channel's secret goes to no other host, and its approvers' links to no other address."""
    for row in configuration.endpoints.filter(channel__in=endpoints):
        if row.url == endpoints[row.channel]:
            continue
        if urlsplit(row.url).netloc != urlsplit(endpoints[row.channel]).netloc:
            row.sealed_secret = row.sealed_signing_secret = ""
        row.options = {
            name: value for name, value in row.options.items() if name not in (APPROVER, APPROVERS)
        }
        row.save(update_fields=["sealed_secret", "sealed_signing_secret", "options"])
