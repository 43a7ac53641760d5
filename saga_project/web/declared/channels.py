"""The section ``channels``: channels with a format, a secret or options, by the operations of the API."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db.models import F, QuerySet

from saga_project.shared import crypto
from saga_project.web.declared import shapes
from saga_project.web.declared.section import Author, Section
from webhooks.models import Endpoint
from webhooks.operations import channels

_SECRETS = {"secret": "sealed_secret", "signing_secret": "sealed_signing_secret"}


class ChannelSection(Section):
    """What has nothing but an address stays in the section ``webhooks``."""

    def rows(self) -> QuerySet[Endpoint]:
        order = (F("configuration__service__name").asc(nulls_first=True), "channel")
        found = Endpoint.objects.select_related("configuration__service")
        return found.filter(shapes.described_apart()).order_by(*order)

    def find(self, values: Mapping[str, Any]) -> Endpoint | None:
        found = Endpoint.objects.select_related("configuration__service").filter(
            configuration__service=values.get("service"), channel=values["channel"]
        )
        return found.select_for_update(of=("self",), no_key=True).first()

    def complete(self, values: dict[str, Any]) -> dict[str, Any]:
        return {"service": None, "format": "", "options": {}, **values}

    def known_as(self, row: Endpoint) -> dict[str, Any]:
        shown = self.describe(row)
        return {name: shown[name] for name in ("service_name", "channel")}

    def write(
        self, row: Endpoint | None, values: dict[str, Any], author: Author
    ) -> tuple[Endpoint, bool]:
        service = values["service"]
        given = {name: value for name, value in values.items() if name != "service"}
        if row is None:
            made = channels.put_channel(
                service,
                given,
                by=author.by,
                now=author.now,
                makes_default_rules=author.makes_default_rules,
            )
            return made, True
        if _is_same(row, given):
            return row, False
        changed = {name: value for name, value in given.items() if name != "channel"}
        return channels.alter_channel(row.pk, changed, by=author.by, now=author.now), True

    def prune(self, row: Endpoint, author: Author) -> str:
        channels.drop_channel(row.pk, by=author.by, now=author.now)
        return "delete"


def _is_same(row: Endpoint, given: Mapping[str, Any]) -> bool:
    return (
        given.get("url", row.url) == row.url
        and given["format"] == row.format
        and given["options"] == row.options
        and all(
            given.get(name) is None or given[name] == _unsealed(row, column)
            for name, column in _SECRETS.items()
        )
    )


def _unsealed(row: Endpoint, column: str) -> str:
    sealed = getattr(row, column)
    return crypto.decrypt(sealed) if sealed else ""
