"""Second factors: set up, asked for, sealed, bounded, and required of roles."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal import auth
from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value
from django.contrib.auth.models import Group, Permission, User
from django.test import Client
from django.utils import timezone
from rest_framework.test import APIClient

from registry import errors
from registry.identity import accounts
from registry.operations import encryption_keys, people, tokens
from saga_project.shared import crypto
from tests.identity_provider import Running
from tests.saga_project.console.conftest import Member
from tests.saga_project.console.sign_in.conftest import PASSWORD, ComeIn
from updates.models import AuditEntry

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis")]

PAGE = "/admin/registry/service/"


@pytest.fixture(autouse=True)
def codes_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stop the clock of the codes, so that none becomes too old on its way."""
    now = time.time()
    monkeypatch.setattr(auth, "time", SimpleNamespace(time=lambda: now))


def code_of(secret: str, *, steps: int = 0) -> str:
    return str(format_hotp_value(hotp_value(secret, int(auth.time.time()) // 30 + steps)))


def log_in(client: Client, name: str = "otto") -> Any:
    return client.post("/admin/login/?next=" + PAGE, {"username": name, "password": PASSWORD})


def set_up(client: Client) -> str:
    """Set up an authenticator app; return its secret."""
    form = client.get("/admin/second-factor/totp/activate/").context["form"]
    sent = {"code": code_of(form.secret, steps=-1)}
    answer = client.post("/admin/second-factor/totp/activate/", sent)
    assert answer.status_code == 302, answer.content
    return str(form.secret)


@pytest.fixture
def secret(otto: User, client: Client) -> str:
    """Otto's app, with no session left."""
    log_in(client)
    found = set_up(client)
    client.logout()
    return found


def recorded(action: str) -> list[dict[str, Any]]:
    rows = AuditEntry.objects.filter(action=action).order_by("sequence")
    return [{"actor": row.actor, **row.data} for row in rows]


def test_a_half_logged_in_session_reaches_nothing(secret: str, client: Client) -> None:
    answer = log_in(client)

    assert answer["Location"] == "/admin/second-factor/authenticate/"
    for path in (PAGE, "/admin/", "/admin/second-factor/", "/admin/tokens/"):
        assert client.get(path)["Location"].startswith("/admin/login/")
    assert client.post("/admin/tokens/", {"name": "x"}).status_code == 302
    assert "_auth_user_id" not in client.session
    assert not recorded("login.succeeded")[1:]  # one, of the session that set the app up


def test_the_code_completes_the_login(secret: str, client: Client) -> None:
    log_in(client)

    answer = client.post("/admin/second-factor/authenticate/", {"code": code_of(secret)})

    assert answer["Location"] == PAGE
    assert client.get(PAGE).status_code == 200


def test_a_code_is_good_once(secret: str, client: Client) -> None:
    code = code_of(secret)
    log_in(client)
    client.post("/admin/second-factor/authenticate/", {"code": code})
    other = Client(SERVER_NAME="localhost")
    log_in(other)

    answer = other.post("/admin/second-factor/authenticate/", {"code": code})

    assert answer.status_code == 200
    assert other.get(PAGE).status_code == 302


def test_guessing_codes_is_stopped_after_five(secret: str, client: Client) -> None:
    log_in(client)
    wrong = next(
        text
        for text in ("000000", "111111", "222222", "333333")
        if text not in {code_of(secret, steps=steps) for steps in range(-3, 6)}
    )
    for _ in range(5):
        client.post("/admin/second-factor/authenticate/", {"code": wrong})

    answer = client.post("/admin/second-factor/authenticate/", {"code": code_of(secret)})

    assert "Too many failed" in answer.content.decode()
    assert client.get(PAGE).status_code == 302
    assert len(recorded("login.failed")) == 5


def test_a_recovery_code_replaces_the_app_once(secret: str, client: Client) -> None:
    row = Authenticator.objects.get(type="recovery_codes")
    code = row.wrap().get_unused_codes()[0]
    for expected in (302, 200):
        client.logout()
        log_in(client)

        answer = client.post("/admin/second-factor/authenticate/", {"code": code})

        assert answer.status_code == expected
    assert [entry["actor"] for entry in recorded("factor.recovered")] == ["otto"]


def test_secrets_are_sealed_and_rotated(secret: str, settings: Any) -> None:
    before = json.dumps(list(Authenticator.objects.values_list("data", flat=True)))

    assert secret not in before
    sealed = Authenticator.objects.get(type="totp").data["secret"]
    assert crypto.decrypt(sealed) == secret
    assert encryption_keys._rotate_factors() == 2
    anew = Authenticator.objects.get(type="totp").data["secret"]
    assert anew != sealed
    assert crypto.decrypt(anew) == secret
    assert {entry["factor"] for entry in recorded("factor.added")} <= {"totp", "recovery_codes"}


def test_a_person_of_a_role_that_must_have_one_is_sent_to_set_it_up(
    otto: User, client: Client, settings: Any
) -> None:
    settings.SAGA_REQUIRE_SECOND_FACTOR = ["operators"]
    log_in(client)

    for path in (PAGE, "/admin/", "/admin/tokens/", "/admin/password_change/"):
        assert client.get(path)["Location"] == "/admin/second-factor/", path
    page = client.get("/admin/second-factor/").content.decode()
    assert "Your role needs a second factor" in page

    set_up(client)
    assert client.get(PAGE).status_code == 200


def test_roles_that_need_none_are_left_alone(member: Member, settings: Any) -> None:
    settings.SAGA_REQUIRE_SECOND_FACTOR = ["administrators"]

    assert member("operators").get(PAGE).status_code == 200
    assert member("administrators").get(PAGE).status_code == 302
    User.objects.filter(username="one-of-operators").update(is_superuser=True)
    assert member("operators").get(PAGE).status_code == 302


def test_a_person_of_the_provider_sets_one_up_without_a_password(
    come_in: ComeIn, client: Client, settings: Any, provider: Running
) -> None:
    settings.SAGA_REQUIRE_SECOND_FACTOR = ["operators"]
    come_in("ada")
    secret = set_up(client)
    client.logout()

    assert come_in("ada")["Location"] == "/admin/second-factor/authenticate/"
    assert client.get(PAGE).status_code == 302
    client.post("/admin/second-factor/authenticate/", {"code": code_of(secret)})
    assert client.get(PAGE).status_code == 200


def test_an_old_session_confirms_itself_before_it_changes_factors(
    secret: str, client: Client
) -> None:
    log_in(client)
    client.post("/admin/second-factor/authenticate/", {"code": code_of(secret)})
    session = client.session
    for record in session["account_authentication_methods"]:
        record["at"] -= 3600
    session.save()

    answer = client.post("/admin/second-factor/totp/deactivate/")

    assert answer["Location"].startswith("/admin/reauthenticate/")
    assert Authenticator.objects.filter(type="totp").exists()


def test_an_administrator_resets_the_factor_of_a_person(
    secret: str, member: Member, otto: User, client: Client
) -> None:
    sent = {"action": "reset_second_factors", "_selected_action": [otto.pk], "confirmed": "1"}

    assert member("administrators").post("/admin/auth/user/", sent).status_code == 302

    assert not Authenticator.objects.exists()
    [entry] = recorded("factor.reset")
    assert (entry["actor"], entry["what"]) == ("one-of-administrators", "otto")
    assert log_in(client)["Location"] == PAGE


def test_no_administrator_resets_the_factor_of_a_superuser(
    secret: str, member: Member, otto: User
) -> None:
    User.objects.filter(pk=otto.pk).update(is_superuser=True)
    sent = {"action": "reset_second_factors", "_selected_action": [otto.pk], "confirmed": "1"}

    member("administrators").post("/admin/auth/user/", sent)

    assert Authenticator.objects.filter(type="totp").exists()


def test_the_factor_is_reset_over_http(secret: str, api: APIClient, otto: User) -> None:
    account = accounts.ensure_account("boss", scopes=["admin:registry", "services:read"])
    boss = accounts.issue_token(account, scopes=["admin:registry"])[1]
    other = accounts.issue_token(account, scopes=["services:read"])[1]

    def reset(token: str, name: str = "otto") -> int:
        address = f"/api/v1/people/{name}/second-factor"
        return api.delete(address, headers={"Authorization": f"Bearer {token}"}).status_code

    assert reset(other) == 403
    assert reset(boss, "stranger") == 404
    User.objects.filter(pk=otto.pk).update(is_superuser=True)
    assert reset(boss) == 403
    User.objects.filter(pk=otto.pk).update(is_superuser=False)
    assert reset(boss) == 204
    assert not Authenticator.objects.exists()


@pytest.fixture
def issued(db: None) -> Callable[..., str]:
    """Return the token of a person with roles and permissions, which administers with it."""

    def issued(name: str, *held: str) -> str:
        person = User.objects.create_user(name, is_staff=True)
        person.groups.set(Group.objects.filter(name__in=held))
        by = accounts.of_person(person)
        now = timezone.now()
        return tokens.issue(by.account, scopes=["admin:registry"], by=by, now=now)[1]

    return issued


def reset_by(api: APIClient, token: str, name: str = "otto") -> int:
    address = f"/api/v1/people/{name}/second-factor"
    return int(api.delete(address, headers={"Authorization": f"Bearer {token}"}).status_code)


def grant(holder: Group, *codenames: str) -> None:
    holder.permissions.add(*Permission.objects.filter(codename__in=codenames))


def test_a_persons_token_resets_the_factor_of_no_person_that_may_do_more(
    secret: str, api: APIClient, otto: User, issued: Callable[..., str]
) -> None:
    token = issued("ada", "administrators")
    otto.groups.add(special := Group.objects.create(name="clerks of the schedule"))
    grant(special, "add_permission")

    assert reset_by(api, token) == 403
    User.objects.filter(pk=otto.pk).update(is_active=False)
    assert reset_by(api, token) == 403
    assert Authenticator.objects.filter(user=otto).exists()
    assert recorded("factor.reset") == []

    special.delete()
    assert reset_by(api, token) == 204
    assert recorded("factor.reset")[0]["actor"] == "ada"


def test_an_account_counts_as_an_administrator(secret: str, api: APIClient, otto: User) -> None:
    account = accounts.ensure_account("otto", scopes=["admin:registry"])
    token = accounts.issue_token(account, scopes=["admin:registry"])[1]
    otto.groups.add(special := Group.objects.create(name="clerks of the schedule"))
    grant(special, "add_permission")

    assert reset_by(api, token) == 403
    special.delete()
    assert reset_by(api, token) == 204


def test_a_person_without_the_right_to_change_people_resets_no_factor(
    secret: str, api: APIClient, otto: User, member: Member, issued: Callable[..., str]
) -> None:
    token, client = issued("ada", "administrators"), member("administrators")
    Group.objects.get(name="administrators").permissions.filter(codename="change_user").delete()
    sent = {"action": "reset_second_factors", "_selected_action": [otto.pk], "confirmed": "1"}

    for name in ("otto", "one-of-administrators"):
        assert reset_by(api, token, name) == 403
    client.post("/admin/auth/user/", sent)

    assert Authenticator.objects.filter(type="totp").exists()


def test_the_operation_itself_asks_who_calls(secret: str, otto: User) -> None:
    User.objects.create_user("vera", is_staff=True).groups.add(Group.objects.get(name="viewers"))

    for by in (None, accounts.staff("vera"), accounts.staff("nemo"), accounts.staff("otto")):
        with pytest.raises(errors.PersonProtected):
            people.reset_second_factor(otto, by=by, now=timezone.now())
