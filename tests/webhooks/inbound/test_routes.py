"""The list of routes is what addresses, views and replays are built from."""

from __future__ import annotations

import pkgutil
from importlib import import_module

import pytest
from django.contrib.auth.models import Permission
from django.urls import resolve

from webhooks import inbound
from webhooks.api.routes import WebhookView
from webhooks.inbound.calls import Route
from webhooks.inbound.routes import ROUTES


def test_every_module_with_a_route_is_in_the_list() -> None:
    names = [module.name for module in pkgutil.iter_modules(inbound.__path__)]
    modules = [import_module(f"webhooks.inbound.{name}") for name in names]

    found = [module.ROUTE for module in modules if hasattr(module, "ROUTE")]

    assert {route.name for route in found} == set(ROUTES)


@pytest.mark.parametrize("route", ROUTES.values(), ids=list(ROUTES))
def test_the_view_of_a_route_is_made_of_it(route: Route) -> None:
    view = resolve(f"/api/v1/webhooks/{route.name}").func.cls  # type: ignore[attr-defined]

    assert issubclass(view, WebhookView)
    assert view.route is route
    assert view.required_scopes["POST"] == route.scope


@pytest.mark.django_db
def test_a_replay_asks_for_permissions_that_exist() -> None:
    wanted = {route.permission for route in ROUTES.values()}

    rows = Permission.objects.values_list("content_type__app_label", "codename")

    assert wanted <= {f"{app}.{name}" for app, name in rows}
