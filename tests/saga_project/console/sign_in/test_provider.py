"""Logging in by an OpenID Connect provider that runs as a process of its own."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from allauth.socialaccount.models import SocialAccount
from django.contrib.auth.models import Group, User
from django.test import Client, RequestFactory

from saga_project.console.sign_in import provider as console_provider
from tests.identity_provider import Running
from tests.saga_project.console.sign_in.conftest import PASSWORD, ComeIn
from updates.models import AuditEntry

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis")]


def roles_of(name: str) -> set[str]:
    return set(User.objects.get(username=name).groups.values_list("name", flat=True))


def is_in(client: Client) -> bool:
    return client.get("/admin/registry/service/").status_code == 200


def recorded(action: str) -> list[dict[str, Any]]:
    rows = AuditEntry.objects.filter(action=action).order_by("sequence")
    return [{"actor": row.actor, **row.data} for row in rows]


def test_a_person_of_a_mapped_group_comes_in_with_its_role(come_in: ComeIn, client: Client) -> None:
    answer = come_in("ada", onward="/admin/registry/service/")

    assert (answer.status_code, answer["Location"]) == (302, "/admin/registry/service/")
    assert is_in(client)
    ada = User.objects.get(username="ada")
    assert (ada.is_staff, ada.is_superuser, ada.has_usable_password()) == (True, False, False)
    assert roles_of("ada") == {"operators"}
    assert [entry["actor"] for entry in recorded("user.added")] == ["ada"]
    assert [entry["actor"] for entry in recorded("login.succeeded")] == ["ada"]


def test_roles_are_those_of_the_last_login(come_in: ComeIn, provider: Running) -> None:
    come_in("ada")
    own = Group.objects.create(name="night shift")
    User.objects.get(username="ada").groups.add(own)
    provider.knows(ada={"groups": ["lookers", "admins", "elsewhere"]})

    come_in("ada", by=Client(SERVER_NAME="localhost"))

    assert roles_of("ada") == {"viewers", "administrators", "night shift"}
    [change] = recorded("user.changed")
    assert set(change["before"]["roles"]) == {"operators", "night shift"}


@pytest.mark.parametrize("groups", [None, [], ["elsewhere"], "elsewhere", {"sre": 1}, [["sre"]], 7])
def test_a_person_without_a_mapped_group_is_refused_and_loses_its_roles(
    groups: Any, come_in: ComeIn, provider: Running, client: Client
) -> None:
    come_in("ada")
    provider.knows(ada={"groups": groups}, bob={"groups": groups})
    fresh = Client(SERVER_NAME="localhost")

    for name in ("ada", "bob"):
        answer = come_in(name, by=fresh)

        assert answer.status_code == 403
        assert "None of your groups has a role" in answer.content.decode()
    assert not is_in(fresh)
    assert roles_of("ada") == set()
    assert not User.objects.filter(username="bob").exists()
    assert [entry["actor"] for entry in recorded("login.refused")] == ["ada", "bob"]


def test_one_group_may_be_a_text(come_in: ComeIn, provider: Running, client: Client) -> None:
    provider.knows(ada={"groups": "lookers"})

    come_in("ada")

    assert roles_of("ada") == {"viewers"}


def test_the_claim_of_the_groups_has_the_name_of_the_setting(
    come_in: ComeIn, provider: Running, settings: Any
) -> None:
    settings.SAGA_OIDC_GROUPS_CLAIM = "https://example.com/roles"
    provider.knows(ada={"groups": ["admins"], "https://example.com/roles": ["lookers"]})

    come_in("ada")

    assert roles_of("ada") == {"viewers"}


def test_no_local_person_is_taken_over_by_its_name_or_address(
    come_in: ComeIn, provider: Running, client: Client
) -> None:
    User.objects.create_superuser("root", "root@example.com", PASSWORD)
    provider.knows(
        root={"groups": ["sre"], "email": "root@example.com", "email_verified": True},
    )

    come_in("root")

    person = User.objects.get(username="root-2")
    assert (person.is_superuser, client.session["_auth_user_id"]) == (False, str(person.pk))


def test_another_issuers_subject_is_another_person(
    come_in: ComeIn, provider: Running, settings: Any
) -> None:
    come_in("ada")
    first = User.objects.get(username="ada")
    found = console_provider.ProviderAdapter().get_provider(RequestFactory().get("/"), "oidc")
    uid = found.extract_uid({"iss": "https://other.example", "sub": "sub-of-ada"})

    assert SocialAccount.objects.get(user=first).uid != uid


def test_a_switched_off_person_is_refused(come_in: ComeIn, client: Client) -> None:
    come_in("ada")
    User.objects.update(is_active=False)
    fresh = Client(SERVER_NAME="localhost")

    answer = come_in("ada", by=fresh)

    assert answer.status_code == 403
    assert not is_in(client)
    assert not is_in(fresh)


FAULTS: dict[str, dict[str, Any]] = {
    "another key": {"other_key": True},
    "no signature": {"no_signature": True},
    "no ID token": {"no_id_token": True},
    "another nonce": {"claims": {"nonce": "of-another-login"}},
    "no nonce": {"claims": {"nonce": None}},
    "another audience": {"claims": {"aud": "another-program"}},
    "another authorised party": {"claims": {"aud": ["saga-console", "x"], "azp": "x"}},
    "another issuer": {"claims": {"iss": "https://other.example"}},
    "expired": {"claims": {"exp": 1}},
    "userinfo of another person": {"userinfo": {"sub": "sub-of-root"}},
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_no_token_for_this_login_is_refused(
    fault: str, come_in: ComeIn, provider: Running, client: Client
) -> None:
    provider.errs(**FAULTS[fault])

    answer = come_in("ada")

    assert answer.status_code == 401, fault
    assert not is_in(client)
    assert not User.objects.filter(username="ada").exists()
    assert len(recorded("login.refused")) == 1


def test_a_provider_by_another_name_is_not_asked(provider: Running, client: Client) -> None:
    provider.errs(issuer="https://other.example")

    answer = client.get("/admin/login/provider/")

    assert answer.status_code == 401
    assert "SAGA_OIDC_ISSUER" in answer.content.decode()


def test_the_address_guard_stands_before_the_provider(
    provider: Running, client: Client, settings: Any
) -> None:
    settings.SAGA_ALLOWED_NETWORKS = []

    answer = client.get("/admin/login/provider/")

    assert answer.status_code == 401


def test_the_browser_is_sent_with_a_challenge_a_state_and_a_nonce(
    provider: Running, client: Client
) -> None:
    sent = parse_qs(
        urlsplit(
            client.get(
                "/admin/login/provider/?auth_params=redirect_uri%3Dhttps%3A%2F%2Fevil.example&scope=all"
            )["Location"]
        ).query
    )

    assert sent["code_challenge_method"] == ["S256"]
    assert set(sent["scope"][0].split()) == {"openid", "profile", "email"}
    assert sent["redirect_uri"] == ["http://localhost/admin/login/provider/callback/"]
    assert min(len(sent[name][0]) for name in ("state", "nonce", "code_challenge")) >= 16


def test_a_login_comes_back_to_the_browser_that_began_it(provider: Running, client: Client) -> None:
    path = provider.sends_back(client.get("/admin/login/provider/")["Location"], "ada")
    other = Client(SERVER_NAME="localhost")

    assert other.get(path).status_code == 401
    assert not is_in(other)
    assert client.get(path).status_code == 302
    assert Client(SERVER_NAME="localhost").get(path).status_code == 401


def test_a_refusal_of_the_provider_is_reported(come_in: ComeIn, provider: Running) -> None:
    answer = come_in("stranger")

    assert answer.status_code == 401
    assert "login at the provider was cancelled" in answer.content.decode()


@pytest.mark.parametrize(
    "onward", ["https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)"]
)
def test_a_login_leads_to_pages_of_this_server_only(onward: str, come_in: ComeIn) -> None:
    assert come_in("ada", onward=onward)["Location"] == "/admin/"


def test_without_a_provider_its_addresses_do_not_exist(client: Client) -> None:
    assert client.get("/admin/login/provider/").status_code == 404
    assert client.get("/admin/login/provider/callback/?code=x&state=y").status_code == 404


def test_passwords_are_switched_off(
    provider: Running, client: Client, settings: Any, otto: User
) -> None:
    settings.SAGA_LOCAL_LOGIN = False

    page = client.get("/admin/login/").content.decode()
    answer = client.post("/admin/login/", {"username": "otto", "password": PASSWORD})

    assert 'name="password"' not in page
    assert "/admin/login/provider/" in page
    assert answer.status_code == 403
    assert not is_in(client)


def test_logging_out_ends_the_session_at_the_provider(come_in: ComeIn, client: Client) -> None:
    come_in("ada")

    page = client.post("/admin/logout/").content.decode()

    assert not is_in(client)
    assert "/end?id_token_hint=" in page
    assert "post_logout_redirect_uri=http%3A%2F%2Flocalhost%2Fadmin%2Flogin%2F" in page


def test_the_session_keeps_no_token_in_the_clear(come_in: ComeIn, client: Client) -> None:
    come_in("ada")

    kept = str(dict(client.session))
    assert "eyJ" not in kept
    assert "access_token" not in kept


def test_nothing_of_accounts_is_served_but_the_login(provider: Running, client: Client) -> None:
    for path in ("signup", "password/reset", "email", "accounts/login", "login/code", "inactive"):
        assert client.get(f"/admin/{path}/").status_code in {302, 404}
        assert client.get(f"/accounts/{path}/").status_code == 404
