"""The document's sections, in the order in which they are applied."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Mapping
from typing import Any

from django.db.models import Q

import registry.operations
from registry.api.accounts import AccountShape
from registry.api.health_checks import HealthCheckShape
from registry.directory import projection
from registry.models import Service, Subscription
from registry.operations import health_checks, rows, tokens
from registry.operations.configured import Kind
from saga_project.shared import auditing, crypto
from saga_project.web.declared import shapes
from saga_project.web.declared.channels import ChannelSection
from saga_project.web.declared.section import Author, Columns, Section
from saga_project.web.declared.subscriptions import SubscriptionSection
from updates.api import targets
from updates.api.calendar import FreezeShape, WindowShape
from updates.api.policies import PolicyShape, SelectorPolicyShape, SkipShape
from updates.operations import settings
from updates.releases import setup
from updates.rollouts import environments
from webhooks import signing_secrets
from webhooks.api.github_hooks import GitHubHookShape
from webhooks.api.rules import NotificationRuleShape
from webhooks.models import Configuration, Endpoint
from webhooks.operations import configuration, hooks
from webhooks.operations.rules import RULE


class ServiceSection(Section):
    """Services outlive their file: they may be registered, and have a history."""

    def write(self, row: Any, values: dict[str, Any], author: Author) -> tuple[Any, bool]:
        is_new = row is None
        if is_new:
            row = registry.operations.ensure_service(values["name"])
            auditing.record(
                "service.added",
                actor=author.name,
                service_name=row.name,
                data={"what": row.name},
                at=author.now,
            )
        row, is_changed = super().write(row, values, author)
        if is_changed and not is_new:
            rows.save_change(row, now=author.now)
            projection.schedule(row)
        return row, is_changed or is_new


class WebhookSection(Section):
    """A service's webhook configuration, or the global one, by the operation that the API calls."""

    def complete(self, values: dict[str, Any]) -> dict[str, Any]:
        flags = {"accepts_global_secret": False, "requires_timestamp": False}
        return {"service": None, "endpoints": {}, **flags, **values}

    def write(self, row: Any, values: dict[str, Any], author: Author) -> tuple[Any, bool]:
        if row is not None and _is_configured(row, values, now=author.now):
            return row, False
        apart = _apart(row) if row is not None else {}
        change = configuration.ConfigurationChange(
            endpoints={**apart, **values["endpoints"]},
            secret=values.get("secret", configuration.UNSET),
            accepts_global_secret=values["accepts_global_secret"],
            requires_timestamp=values["requires_timestamp"],
            makes_default_rules=author.makes_default_rules,
        )
        configuration.evaluate(change)
        return configuration.put(values["service"], change, by=author.by, now=author.now), True

    def prune(self, row: Any, author: Author) -> str:
        emptied = self.complete({"service": row.service, "secret": None})
        self.write(row, emptied, author)
        return "delete"


def _apart(row: Configuration) -> dict[str, str]:
    """Return the channels that the section ``channels`` describes, which this one leaves alone."""
    return dict(row.endpoints.filter(shapes.described_apart()).values_list("channel", "url"))


def _is_configured(row: Configuration, values: Mapping[str, Any], *, now: dt.datetime) -> bool:
    endpoints = dict(row.endpoints.values_list("channel", "url"))
    known = signing_secrets.of(row, now=now)
    current = known[0] if known else None
    return bool(
        endpoints == {**_apart(row), **values["endpoints"]}
        and row.accepts_global_secret == values["accepts_global_secret"]
        and row.requires_timestamp == values["requires_timestamp"]
        and values.get("secret", current) == current
    )


def _target_columns(row: Any, values: dict[str, Any]) -> dict[str, Any]:
    columns = {name: value for name, value in values.items() if name not in targets.SECRETS}
    if "deployer_key" in values:
        sealed = row.sealed_deployer_secret if row else ""
        columns["sealed_deployer_secret"] = _resealed(sealed, values["deployer_key"] or "")
    if "secret_environment" in values:
        secret, sealed = values["secret_environment"], row.sealed_environment if row else ""
        targets.check_secret_environment(secret)
        is_same = row is not None and environments.unseal(sealed) == secret
        columns["sealed_environment"] = sealed if is_same else environments.seal(secret)
    return columns


def _skip_columns(row: Any, values: dict[str, Any]) -> dict[str, Any]:
    return values if row is not None else {**values, "created_by": "file"}


def _sealing(name: str, column: str) -> Columns:
    """Return how a row's secret is sealed, which its items call ``name``."""

    def sealed(row: Any, values: dict[str, Any]) -> dict[str, Any]:
        columns = {key: value for key, value in values.items() if key != name}
        if name in values:
            columns[column] = _resealed(getattr(row, column) if row else "", values[name])
        return columns

    return sealed


def _resealed(sealed: str, secret: str) -> str:
    """Return the secret sealed, as it is stored where it is the same."""
    if sealed and crypto.decrypt(sealed) == secret:
        return sealed
    return crypto.encrypt(secret) if secret else ""


_SERVICE = Kind(model=Service, name="service")
_SUBSCRIPTION = Kind(model=Subscription, name="subscription")
_WEBHOOK = Kind(model=Configuration, name="webhook")
_CHANNEL = Kind(model=Endpoint, name="channel")
_SOURCE = dataclasses.replace(settings.SOURCE, find_faults=setup.faults)
_IS_EMPTY = Q(
    endpoints=None, sealed_secret="", accepts_global_secret=False, requires_timestamp=False
)

#: In the order in which they are applied; rows are pruned in the opposite one.
SECTIONS: tuple[Section, ...] = (
    Section(
        name="accounts",
        kind=tokens.ACCOUNT,
        shape=AccountShape,
        key=("name",),
        left_out=Q(name__contains=":"),  # of a person, or of the local token
        when_pruned={"is_active": False},
    ),
    ServiceSection(
        name="services",
        kind=_SERVICE,
        shape=shapes.DeclaredServiceShape,
        key=("name",),
        when_pruned={},
    ),
    SubscriptionSection(
        name="subscriptions",
        kind=_SUBSCRIPTION,
        shape=shapes.DeclaredSubscriptionShape,
        key=("service", "service_glob", "subscriber"),
        secrets=("secret",),
    ),
    Section(
        name="checks",
        kind=health_checks.CHECK,
        shape=HealthCheckShape,
        key=("service", "name"),
    ),
    Section(name="policies", kind=settings.POLICY, shape=PolicyShape, key=("service",)),
    Section(
        name="selector_policies",
        kind=settings.SELECTOR_POLICY,
        shape=SelectorPolicyShape,
        key=("name",),
    ),
    Section(
        name="sources",
        kind=_SOURCE,
        shape=shapes.DeclaredSourceShape,
        key=("service",),
        secrets=("token",),
        columns=_sealing("token", "sealed_token"),
    ),
    Section(
        name="targets",
        kind=settings.TARGET,
        shape=targets.TargetShape,
        key=("service", "name"),
        secrets=targets.SECRETS,
        columns=_target_columns,
        left_out=Q(is_automatic=True),
    ),
    Section(name="windows", kind=settings.WINDOW, shape=WindowShape, key=("service", "name")),
    Section(name="freezes", kind=settings.FREEZE, shape=FreezeShape, key=("service", "name")),
    Section(
        name="skips",
        kind=settings.HOLD,
        shape=SkipShape,
        key=("service", "version"),
        columns=_skip_columns,
    ),
    Section(
        name="credentials",
        kind=settings.CREDENTIAL,
        shape=shapes.DeclaredCredentialShape,
        key=("service", "host"),
        secrets=("secret",),
        columns=_sealing("secret", "sealed_secret"),
    ),
    Section(
        name="github_hooks",
        kind=hooks.GITHUB_HOOK,
        shape=GitHubHookShape,
        key=("api_url", "repository", "hook_id"),
        secrets=("token",),
        columns=_sealing("token", "sealed_token"),
    ),
    WebhookSection(
        name="webhooks",
        kind=_WEBHOOK,
        shape=shapes.DeclaredWebhookShape,
        key=("service",),
        secrets=("secret",),
        left_out=_IS_EMPTY,
    ),
    ChannelSection(
        name="channels",
        kind=_CHANNEL,
        shape=shapes.DeclaredChannelShape,
        key=("service", "channel"),
        secrets=("secret", "signing_secret"),
        referable=("url",),
    ),
    Section(
        name="notification_rules", kind=RULE, shape=NotificationRuleShape, key=("service", "name")
    ),
)
