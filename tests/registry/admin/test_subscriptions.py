from __future__ import annotations

import pytest

from registry.models import Subscription
from tests.factories import ServiceFactory
from tests.registry.admin.conftest import Login

pytestmark = pytest.mark.django_db

LIST = "/admin/registry/subscription/"


@pytest.mark.parametrize(
    ("before", "action", "after"),
    [
        ("active", "suspend_subscriptions", "suspended"),
        ("pending", "activate_subscriptions", "active"),
        ("suspended", "activate_subscriptions", "active"),
        ("active", "cancel_subscriptions", "cancelled"),
        ("cancelled", "activate_subscriptions", "cancelled"),
        ("cancelled", "suspend_subscriptions", "cancelled"),
    ],
)
def test_operators_steer_subscriptions(login: Login, before: str, action: str, after: str) -> None:
    row = Subscription.objects.create(
        service=ServiceFactory.create(), subscriber="mail", state=before
    )
    body = {"action": action, "_selected_action": [row.pk], "confirmed": "yes"}

    login("viewers").post(LIST, body)
    row.refresh_from_db()
    assert row.state == before

    login("operators").post(LIST, body)
    row.refresh_from_db()
    assert row.state == after


def test_the_path_of_a_callback_is_shown_to_no_viewer(login: Login) -> None:
    """It may be a credential, as that of a chat webhook is."""
    row = Subscription.objects.create(
        service=ServiceFactory.create(),
        subscriber="mail",
        callback_url="https://hooks.example/services/T0/secret",
    )
    client = login("viewers")

    pages = [client.get(path).content.decode() for path in (LIST, f"{LIST}{row.pk}/change/")]
    found = client.get(LIST, {"q": "services/T0"}).content.decode()

    assert all("https://hooks.example/…" in page and "T0/secret" not in page for page in pages)
    assert "hooks.example" not in found
