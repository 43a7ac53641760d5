"""A service's page links to what belongs to it on other pages, as far as the reader's role opens these."""

from __future__ import annotations

import re

import pytest

from registry.identity import accounts
from registry.models import Service, ServiceAccount
from tests import factories
from tests.saga_project.console.conftest import Member
from updates.models import Policy, SelectorPolicy, Source, Target
from webhooks.models import Configuration

pytestmark = pytest.mark.usefixtures("redis")


def _make() -> Service:
    account = accounts.ensure_account("pay-team", scopes=["services:read"])
    accounts.issue_token(account, scopes=["services:read"])
    service: Service = factories.ServiceFactory.create(
        name="shop", account=account, labels={"env": "prod"}
    )
    Target.objects.create(service=service, name="first")
    factories.PolicyFactory.create(service=service)
    factories.SourceFactory.create(service=service, kind="announced", location="")
    factories.ConfigurationFactory.create(service=service)
    factories.DeliveryFactory.create(service_name="shop")
    return service


def _links(page: str) -> dict[str, str]:
    """Return the addresses in the card of settings and traffic, by their labels."""
    card = page[page.index('id="h-related"') :]
    card = card[: card.index("</section>")]
    return dict(re.findall(r"<dt>([A-Za-z]+)</dt><dd><a href=\"([^\"]+)\"", card))


def test_each_link_opens_what_belongs_to_the_service(member: Member) -> None:
    _make()
    client = member("administrators")

    links = _links(client.get("/admin/services/shop/").content.decode())

    assert links == {
        "Targets": "/admin/updates/target/?q=shop",
        "Policy": f"/admin/updates/policy/{Policy.objects.get().pk}/change/",
        "Source": f"/admin/updates/source/{Source.objects.get().pk}/change/",
        "Configuration": f"/admin/webhooks/configuration/{Configuration.objects.get().pk}/change/",
        "Deliveries": "/admin/webhooks/delivery/?q=shop",
        "Tokens": "/admin/registry/token/?q=pay-team",
    }
    for address in links.values():
        assert client.get(address, follow=True).status_code == 200


def test_the_link_to_a_policy_by_label_opens_that_one(member: Member) -> None:
    _make()
    Policy.objects.all().delete()
    made = SelectorPolicy.objects.create(name="prod", selector="env=prod")

    links = _links(member("viewers").get("/admin/services/shop/").content.decode())

    assert links["Policy"] == f"/admin/updates/selectorpolicy/{made.pk}/change/"


def test_a_service_without_an_owner_has_no_link_to_tokens(member: Member) -> None:
    _make()
    Service.objects.update(account=None)
    ServiceAccount.objects.filter(name="pay-team").update(is_active=False)

    assert "Tokens" not in _links(
        member("administrators").get("/admin/services/shop/").content.decode()
    )
