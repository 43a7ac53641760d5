"""The document's sections: which rows each of them describes, and how such a row is written."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Callable, Mapping
from typing import Any

from django.db.models import F, Q, QuerySet

import registry.operations
from registry.api.accounts import AccountShape
from registry.api.health_checks import HealthCheckShape
from registry.directory import projection
from registry.identity.accounts import Caller
from registry.models import Service
from registry.operations import configured, health_checks, rows, tokens
from registry.operations.configured import Kind
from saga_project.shared import crypto
from saga_project.shared.api import resources
from saga_project.web.declared import shapes
from updates.api import targets
from updates.api.calendar import FreezeShape, WindowShape
from updates.api.policies import PolicyShape, SkipShape
from updates.operations import settings
from updates.releases import setup
from updates.rollouts import environments
from webhooks import signing_secrets
from webhooks.api.github_hooks import GitHubHookShape
from webhooks.api.rules import NotificationRuleShape
from webhooks.models import Configuration
from webhooks.operations import configuration, hooks
from webhooks.operations.rules import RULE

Columns = Callable[[Any, dict[str, Any]], dict[str, Any]]
_RELATED = ("service", "account")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Author:
    """On whose behalf rows are written, and when."""

    by: Caller
    now: dt.datetime
    #: False where the document says which rules there are.
    makes_default_rules: bool = True

    @property
    def name(self) -> str:
        return configured.actor_of(self.by)


def _as_given(_row: Any, values: dict[str, Any]) -> dict[str, Any]:
    return values


@dataclasses.dataclass(frozen=True, kw_only=True)
class Section:
    """Rows of one kind; ``key`` are the columns that say which row an item is about."""

    name: str
    kind: Kind
    shape: type[resources.RowShape]
    key: tuple[str, ...]
    #: Fields that are written and never shown; an item without them keeps what is stored.
    secrets: tuple[str, ...] = ()
    columns: Columns = _as_given
    #: Rows that no file describes.
    left_out: Q = dataclasses.field(default_factory=lambda: Q(pk__in=[]))
    #: Set on a row that its file describes no more; None deletes it.
    when_pruned: Mapping[str, Any] | None = None

    def rows(self) -> QuerySet[Any]:
        """Return the rows that a file may describe, in the order of an export."""
        manager: Any = self.kind.model._meta.default_manager
        found: QuerySet[Any] = manager.all()
        names = {field.name for field in self.kind.model._meta.concrete_fields}
        related = [name for name in _RELATED if name in names]
        found = found.select_related(*related) if related else found
        order = [
            F("service__name").asc(nulls_first=True) if name == "service" else name
            for name in self.key
        ]
        return found.exclude(self.left_out).order_by(*order, "pk")

    def find(self, values: Mapping[str, Any]) -> Any:
        """Return the locked row that ``values`` are about, None where there is none."""
        known = {name: values.get(name) for name in self.key}
        return self.rows().filter(**known).select_for_update(of=("self",)).first()

    def complete(self, values: dict[str, Any]) -> dict[str, Any]:
        """Return ``values`` with the defaults of all fields that an item leaves out."""
        defaults = {}
        for name, field in self.shape().fields.items():
            column = field.source or name
            if field.read_only or name in self.secrets or column in values:
                continue
            model_field: Any = self.kind.model._meta.get_field(column)
            defaults[column] = model_field.to_python(model_field.get_default())
        return {**defaults, **values}

    def describe(self, row: Any) -> dict[str, Any]:
        """Return the item of a document that makes the row what it is."""
        shown = dict(self.shape(row).data)
        read_only = {name for name, field in self.shape().fields.items() if field.read_only}
        return {name: value for name, value in shown.items() if name not in read_only}

    def known_as(self, row: Any) -> dict[str, Any]:
        """Return the part of the row's item that says which row it is."""
        fields = self.shape().fields
        keys = [name for name, field in fields.items() if (field.source or name) in self.key]
        shown = self.describe(row)
        return {name: shown[name] for name in keys}

    def write(self, row: Any, values: dict[str, Any], author: Author) -> tuple[Any, bool]:
        """Return the saved row, and whether it differs from what was stored."""
        columns = self.columns(row, values)
        before = configured.describe(row) if row is not None else None
        row = row if row is not None else self.kind.model()
        if before is not None and all(getattr(row, name) == columns[name] for name in columns):
            return row, False
        for name, value in columns.items():
            setattr(row, name, value)
        configured.save(self.kind, row, actor=author.name, before=before, now=author.now)
        return row, True

    def prune(self, row: Any, author: Author) -> str:
        """Take the row away, and return what that is called."""
        if self.when_pruned is None:
            configured.delete(self.kind, row, actor=author.name, now=author.now)
            return "delete"
        if self.when_pruned:
            self.write(row, dict(self.when_pruned), author)
        return "release"


class ServiceSection(Section):
    """Services outlive their file: they may be registered, and have a history."""

    def write(self, row: Any, values: dict[str, Any], author: Author) -> tuple[Any, bool]:
        is_new = row is None
        if is_new:
            row = registry.operations.ensure_service(values["name"])
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
        change = configuration.ConfigurationChange(
            endpoints=values["endpoints"],
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


def _is_configured(row: Configuration, values: Mapping[str, Any], *, now: dt.datetime) -> bool:
    endpoints = dict(row.endpoints.values_list("channel", "url"))
    known = signing_secrets.of(row, now=now)
    current = known[0] if known else None
    return bool(
        endpoints == values["endpoints"]
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
_WEBHOOK = Kind(model=Configuration, name="webhook")
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
    Section(
        name="checks",
        kind=health_checks.CHECK,
        shape=HealthCheckShape,
        key=("service", "name"),
    ),
    Section(name="policies", kind=settings.POLICY, shape=PolicyShape, key=("service",)),
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
    Section(
        name="notification_rules", kind=RULE, shape=NotificationRuleShape, key=("service", "name")
    ),
)
