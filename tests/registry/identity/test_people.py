"""Tokens of people: never more than the person's roles, at each use."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.utils import timezone
from rest_framework.test import APIClient

from registry import errors
from registry.identity import accounts, people, roles
from registry.identity.scopes import SCOPES
from registry.models import CallersRevision, Service, ServiceAccount, Token
from registry.operations import tokens
from tests import factories
from updates.models import Credential, Target

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis")]


def person(name: str = "otto", *held: str) -> User:
    made: User = User.objects.create(username=name, is_staff=True)
    made.groups.set(Group.objects.filter(name__in=held or ["operators"]))
    return made


def issue(owner: User, *scopes: str, **options: Any) -> tuple[Token, str]:
    by = accounts.of_person(owner)
    now = timezone.now()
    return tokens.issue(by.account, scopes=scopes, by=by, now=now, **options)


def status(api: APIClient, text: str, path: str = "/api/v1/services", method: str = "get") -> int:
    call = getattr(api, method)
    return int(call(path, headers={"Authorization": f"Bearer {text}"}).status_code)


@pytest.fixture
def required(settings: Any) -> None:
    settings.SAGA_AUTH = "required"


def test_the_scopes_of_roles_grow_with_them() -> None:
    sets = [roles.SCOPES[role] for role in roles.GROUPS[:-1]]

    assert sets[0] < sets[1] < sets[2] < set(SCOPES)
    assert "admin:registry" not in sets[2]


def test_a_token_has_no_scope_that_its_persons_roles_lack() -> None:
    otto = person()

    with pytest.raises(errors.ScopeMissing):
        issue(otto, "admin:registry")
    _, text = issue(otto, "services:read", "updates:deploy")

    caller = accounts.recognise(text, now=timezone.now())
    assert (str(caller), caller.person) == ("otto", "otto")
    assert caller.scopes == {"services:read", "updates:deploy"}
    assert not caller.is_service_account


LOSSES: dict[str, tuple[Callable[[User], object], int]] = {
    "its role": (lambda owner: owner.groups.clear(), 403),
    "some of its roles": (
        lambda owner: owner.groups.set(Group.objects.filter(name="viewers")),
        403,
    ),
    "its account": (lambda owner: User.objects.filter(pk=owner.pk).update(is_active=False), 401),
    "the console": (lambda owner: User.objects.filter(pk=owner.pk).update(is_staff=False), 401),
    "itself": (lambda owner: owner.delete(), 401),
    "its tokens": (lambda owner: ServiceAccount.objects.update(is_active=False), 401),
}


@pytest.mark.usefixtures("required")
@pytest.mark.parametrize("loss", LOSSES)
def test_who_loses_a_role_loses_the_scope(loss: str, api: APIClient) -> None:
    otto = person()
    _, text = issue(otto, "labels:write")
    Service.objects.all().delete()
    factories.ServiceFactory.create(name="shop")
    address = "/api/v1/services/shop/labels"
    lose, expected = LOSSES[loss]
    assert status(api, text, address, "patch") != 403

    lose(otto)

    assert status(api, text, address, "patch") == expected


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("loss", [name for name in LOSSES if name != "its tokens"])
def test_the_cache_of_tokens_is_updated(loss: str) -> None:
    Group.objects.get_or_create(name="viewers")
    Group.objects.get_or_create(name="operators")
    otto = person()
    issue(otto, "services:read")
    before = CallersRevision.current()
    User.objects.filter(pk=otto.pk).update(last_login=timezone.now())
    assert CallersRevision.current() == before

    LOSSES[loss][0](otto)

    assert CallersRevision.current() != before


def test_only_the_person_issues_its_tokens_and_an_administrator_revokes_them() -> None:
    otto, adam = person(), person("adam", "administrators")
    account = people.account_of(otto)
    for by in (accounts.of_person(adam), accounts.staff("root"), None):
        with pytest.raises(errors.TokenOwned):
            tokens.issue(account, scopes=["services:read"], by=by, now=timezone.now())
    token, text = issue(otto, "services:read")

    assert tokens.revoke(token, by=accounts.staff("adam"), now=timezone.now())
    with pytest.raises(errors.TokenRefused):
        accounts.recognise(text, now=timezone.now())


def test_a_persons_token_ends_within_a_year() -> None:
    otto = person()
    now = timezone.now()

    with pytest.raises(errors.InvalidExpiry):
        issue(otto, "services:read", expires_at=now + dt.timedelta(days=400))
    token, _ = issue(otto, "services:read")

    assert token.expires_at is not None
    assert token.expires_at - now < dt.timedelta(days=91)


def test_tokens_of_a_person_of_the_provider_stop_without_a_login() -> None:
    """That a person has left is known at its next login only, which a leaver does not make."""
    otto = person()
    otto.set_unusable_password()
    otto.last_login = timezone.now() - people.PROVIDER_TRUST + dt.timedelta(minutes=1)
    otto.save()
    _, text = issue(otto, "services:read")

    caller = accounts.recognise(text, now=timezone.now())
    assert caller.expires_at == otto.last_login + people.PROVIDER_TRUST

    with pytest.raises(errors.TokenRefused, match="Log in to the console"):
        accounts.recognise(text, now=caller.expires_at)


def test_a_token_makes_none_that_outlives_it() -> None:
    otto = person()
    now = timezone.now()
    first, text = issue(otto, "tokens:write", expires_at=now + dt.timedelta(days=1))
    by = accounts.recognise(text, now=now)

    second, _ = tokens.issue(by.account, scopes=["tokens:write"], by=by, now=now)

    assert second.expires_at == first.expires_at


@pytest.mark.usefixtures("required")
def test_a_person_that_registers_a_service_does_not_own_it(api: APIClient) -> None:
    """Else an operator's token would drop the policies that others set, and keep the program out."""
    shop = factories.ServiceFactory.create(name="shop")
    factories.PolicyFactory.create(service=shop, requires_second_person=True)
    _, text = issue(person(), "registry:manage")
    body = {"service_name": "shop", "service_url": "http://localhost:1", "version": "2"}

    answer = api.post(
        "/api/v1/services/register",
        body,
        format="json",
        headers={"Authorization": f"Bearer {text}"},
    )

    assert answer.status_code in (200, 201), answer.content
    shop.refresh_from_db()
    assert shop.account is None
    assert shop.policy.requires_second_person


@pytest.mark.usefixtures("required")
def test_a_service_that_a_person_deploys_first_is_left_to_its_program(api: APIClient) -> None:
    """Else the person's account owned it, and the program could never register."""
    _, text = issue(person(), "updates:deploy")
    announced = {"service_name": "shop", "version": "1.0", "artifact_url": "https://ci.example/1"}
    program = accounts.ensure_account("shop", scopes=["registry:manage"])
    _, own = accounts.issue_token(program, scopes=["registry:manage"])
    registered = {"service_name": "shop", "service_url": "http://localhost:1"}

    answers = [
        api.post(f"/api/v1/{path}", body, format="json", headers={"Authorization": f"Bearer {by}"})
        for path, body, by in (
            ("webhooks/update", announced, text),
            ("services/register", registered, own),
        )
    ]

    assert [answer.status_code for answer in answers] == [202, 200], answers[-1].content
    assert Service.objects.get(name="shop").account == program


@pytest.mark.usefixtures("required")
@pytest.mark.parametrize(("role", "status"), [("operators", 403), ("approvers", 202)])
def test_a_person_does_by_token_what_its_role_does_in_the_console(
    api: APIClient, role: str, status: int
) -> None:
    """In the console, approvers may acknowledge, and deploy what is in quarantine."""
    job = factories.JobFactory.create(status="failed", needs_attention=True)
    scopes = ["updates:deploy"] if role == "operators" else ["updates:deploy", "approvals:decide"]
    _, text = issue(person("otto", role), *scopes)

    answer = api.post(
        f"/api/v1/updates/jobs/{job.job_id}/acknowledge",
        headers={"Authorization": f"Bearer {text}"},
    )

    assert answer.status_code == status, answer.content


@pytest.mark.usefixtures("required")
@pytest.mark.parametrize("path", ["targets", "credentials", "artifacts", "subscriptions"])
def test_a_person_sees_by_token_what_viewers_see_in_the_console(api: APIClient, path: str) -> None:
    shop = factories.ServiceFactory.create(
        name="shop", account=accounts.ensure_account("shop", scopes=[])
    )
    Target.objects.create(service=shop, name="web")
    factories.SubscriptionFactory.create(service=shop, callback_url="http://10.0.0.9/secret")
    Credential.objects.create(service=shop, host="packages.example", sealed_secret="x")
    factories.UploadFactory.create(service=shop)
    scopes = ["services:read", "updates:read", "artifacts:read"]
    stranger = accounts.ensure_account("stranger", scopes=scopes)
    _, own = issue(person("otto", "viewers"), *scopes)
    _, foreign = accounts.issue_token(stranger, scopes=scopes)

    seen, hidden = (
        api.get(f"/api/v1/{path}", headers={"Authorization": f"Bearer {text}"})
        for text in (own, foreign)
    )

    assert [len(answer.json()[path]) for answer in (seen, hidden)] == [1, 0]
    assert b"10.0.0.9/secret" not in seen.content


@pytest.mark.usefixtures("required")
def test_no_administrator_resets_its_own_factor_by_token(api: APIClient) -> None:
    """A stolen token would leave the password as all that is asked for."""
    ada = person("ada", "administrators")
    _, text = issue(ada, "admin:registry")

    answer = api.delete(
        "/api/v1/people/ada/second-factor", headers={"Authorization": f"Bearer {text}"}
    )

    assert answer.status_code == 403
    assert "Remove your own factor" in answer.json()["message"]


def test_a_person_changes_services_of_any_account_within_its_scopes() -> None:
    owner = accounts.ensure_account("owner", scopes=[])
    caller = accounts.of_person(person())

    accounts.check_may_change(caller, "shop", owner_id=owner.pk)


@pytest.mark.usefixtures("required")
def test_a_person_sees_issues_and_revokes_its_tokens_over_http(api: APIClient) -> None:
    otto = person()
    _, text = issue(otto, "tokens:write", "services:read")
    stranger = issue(person("olga"), "services:read")[0]
    api.credentials(HTTP_AUTHORIZATION=f"Bearer {text}")

    made = api.post(
        "/api/v1/me/tokens", {"scopes": ["services:read"], "name": "laptop"}, format="json"
    )
    too_much = api.post("/api/v1/me/tokens", {"scopes": ["updates:deploy"]}, format="json")
    listed = api.get("/api/v1/me/tokens").json()

    assert made.status_code == 201, made.content
    assert made.json()["token"].startswith("saga_")
    assert too_much.status_code == 403
    assert {row["name"] for row in listed["tokens"]} == {"laptop", ""}
    assert api.delete(f"/api/v1/me/tokens/{stranger.pk}").status_code == 404
    assert api.delete(f"/api/v1/me/tokens/{made.json()['id']}").status_code == 204
    assert api.get("/api/v1/me").json()["kind"] == "person"


def test_accounts_of_two_people_are_two() -> None:
    ServiceAccount.objects.create(name="person:otto")
    otto = person()

    assert people.account_of(otto).name == f"person:{otto.pk}"
    assert people.account_of(otto) == people.account_of(otto)
