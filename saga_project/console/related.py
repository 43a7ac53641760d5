"""What belongs to a service on other pages: targets, policy, source, configuration, deliveries, tokens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.contrib.auth.models import AbstractUser
from django.db.models import Model
from django.urls import reverse
from django.utils.http import urlencode

from registry.models import Service, Token
from saga_project.shared.admin import verbs
from updates.models import Freeze, MaintenanceWindow, Policy, SelectorPolicy, Source, Target
from updates.policies import coverage
from updates.policies.preview import Plan
from webhooks.models import Configuration, Delivery


@dataclass(frozen=True, kw_only=True)
class Related:
    """A link, and what is behind it."""

    label: str
    text: str
    link: str


def of(
    service: Service, plan: Plan, configuration: Configuration | None, *, user: AbstractUser
) -> list[Related]:
    """Return the links that the reader's role opens."""
    found = [
        _many("Targets", Target, Target.objects.filter(service=service).count(), service.name),
        _policy(plan.policy),
        _one("Source", Source.objects.filter(service=service).order_by("pk").first(), Source),
        _one("Configuration", configuration, Configuration),
        _many("Deliveries", Delivery, None, service.name),
    ]
    if service.account is not None:
        count = Token.objects.filter(account=service.account, revoked_at=None).count()
        found.append(_many("Tokens", Token, count, service.account.name))
    return [related for model, related in found if _may_view(user, model)]


def _policy(policy: Policy | SelectorPolicy) -> tuple[type[Model], Related]:
    """Return the link to the policy that applies, with the reason."""
    if policy.pk is None:
        return Policy, Related(label="Policy", text="none", link=verbs.list_url(Policy))
    text = f"{policy}, {coverage.reason_of_policy(policy)}"
    return type(policy), Related(label="Policy", text=text, link=_page_of(policy))


def calendar_of(plan: Plan) -> list[Related]:
    """Return the windows and freezes that apply, each with its reason."""
    windows = [_applying("Window", row) for row in plan.windows]
    return windows + [_applying("Freeze", row) for row in plan.freezes]


def _applying(label: str, row: MaintenanceWindow | Freeze) -> Related:
    text = f"{row.name}, {coverage.reason_of(row)}"
    return Related(label=label, text=text, link=_page_of(row))


def _page_of(row: Model) -> str:
    name = f"admin:{row._meta.app_label}_{row._meta.model_name}_change"
    return reverse(name, args=[row.pk])


def _may_view(user: AbstractUser, model: type[Model]) -> bool:
    return user.has_perm(f"{model._meta.app_label}.view_{model._meta.model_name}")


def _many(
    label: str, model: type[Model], count: int | None, search: str
) -> tuple[type[Model], Related]:
    link = f"{verbs.list_url(model)}?{urlencode({'q': search})}"
    text = "all of them" if count is None else str(count) if count else "none"
    return model, Related(label=label, text=text, link=link)


def _one(label: str, row: Any, model: type[Model]) -> tuple[type[Model], Related]:
    if row is None:
        return model, Related(label=label, text="none", link=verbs.list_url(model))
    return model, Related(label=label, text=str(row), link=_page_of(row))
