"""What a channel loses when it leads to another address: secrets, a format, the people that decide by it."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from webhooks.models import Configuration
from webhooks.outbound import channels
from webhooks.outbound.approval_links import APPROVER, APPROVERS
from webhooks.outbound.channels import mail


def drop(configuration: Configuration, endpoints: Mapping[str, str]) -> None:
    """A channel's secret goes to no other host, and its approvers' links to no other address.

    A format of mail ends where it leads to a URL, and any other where it leads to mail.
    """
    for row in configuration.endpoints.filter(channel__in=endpoints):
        if row.url == endpoints[row.channel]:
            continue
        if urlsplit(row.url).netloc != urlsplit(endpoints[row.channel]).netloc:
            row.sealed_secret = row.sealed_signing_secret = ""
        row.options = {
            name: value for name, value in row.options.items() if name not in (APPROVER, APPROVERS)
        }
        is_mail = endpoints[row.channel].startswith(mail.SCHEME)
        if row.format and (row.format == channels.EMAIL) != is_mail:
            row.format, row.options = "", {}
        row.save(update_fields=["sealed_secret", "sealed_signing_secret", "options", "format"])
