"""Every page and action of the console by every caller on every object, against declared tables.

A route or action that is not in a table fails a test: add it there with the least role that may use it.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

import pytest
from django.contrib import admin
from django.contrib.auth.models import Group, User
from django.db import transaction
from django.http import HttpRequest
from django.test import Client, RequestFactory
from django.urls import URLPattern, URLResolver, get_resolver, reverse

from registry.identity import accounts
from registry.models import Service
from tests import factories
from tests.factories import NOW
from tests.saga_project.console import rows
from webhooks.models import Configuration

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis")]

VIEWER, OPERATOR, APPROVER, ADMINISTRATOR = "viewers", "operators", "approvers", "administrators"
ROLES = (VIEWER, OPERATOR, APPROVER, ADMINISTRATOR)
OWNED, UNOWNED, GLOBAL = "owned", "unowned", "global"
BACKEND = "django.contrib.auth.backends.ModelBackend"


@dataclass(frozen=True, kw_only=True)
class Page:
    """The least role for GET, None where there is none, and for POST; ``place`` fills the address."""

    get: str | None
    post: str
    place: str = ""
    verb: str = ""
    objects: tuple[str, ...] = (OWNED, UNOWNED)


def shown(place: str, *, post: str = VIEWER) -> Page:
    """Return the access of a page, which a POST only shows again unless ``post`` says more."""
    return Page(get=VIEWER, post=post, place=place)


def verb(
    place: str, name: str, lowest: str, *, objects: tuple[str, ...] = (OWNED, UNOWNED)
) -> Page:
    """Return the access of a button; ``test_permissions`` shows each button to each role."""
    return Page(get=None, post=lowest, place=place, verb=name, objects=objects)


#: The console's own addresses by their names; those with verbs once with a verb for each role.
PAGES: dict[str, list[Page]] = {
    "console_start": [shown("")],
    "console_tokens": [shown("")],
    "console_token_revoke": [Page(get=None, post=VIEWER, place="user")],
    "console_protection_verb": [verb("", "hold", OPERATOR), verb("", "gone", OPERATOR)],
    "console_service": [shown("service")],
    "console_service_notes": [Page(get=None, post=OPERATOR, place="service")],
    "console_service_verb": [
        verb("service", "look", OPERATOR),
        verb("service", "deregister", OPERATOR),
        verb("service", "reject", APPROVER),
        verb("service", "approve", APPROVER),
    ],
    "console_job": [shown("job")],
    "console_job_verb": [
        verb("job", "resume", OPERATOR),
        verb("job", "abort", OPERATOR),
    ],
    "console_approval": [shown("approval")],
    "console_approval_verb": [
        verb("approval", "approve", APPROVER),
        verb("approval", "reject", APPROVER),
    ],
    "console_call": [shown("call")],
    "console_call_verb": [verb("call", "replay", OPERATOR, objects=(UNOWNED,))],
    "console_delivery": [shown("delivery")],
    "console_delivery_verb": [verb("delivery", "replay", OPERATOR, objects=(UNOWNED,))],
    "console_replay": [Page(get=OPERATOR, post=OPERATOR)],
    "console_configuration_add": [Page(get=ADMINISTRATOR, post=ADMINISTRATOR)],
    "console_configuration": [
        Page(
            get=VIEWER,
            post=ADMINISTRATOR,
            place="configuration",
            objects=(OWNED, UNOWNED, GLOBAL),
        )
    ],
    "console_source_connect": [Page(get=ADMINISTRATOR, post=ADMINISTRATOR)],
    "console_source": [Page(get=VIEWER, post=ADMINISTRATOR, place="source")],
    "updates_source_connect": [Page(get=ADMINISTRATOR, post=ADMINISTRATOR)],
    "updates_source_found": [shown("source")],
    "console_configuration_test": [
        verb("configuration", "ops", ADMINISTRATOR, objects=(OWNED, UNOWNED, GLOBAL))
    ],
    **{
        f"{model}_export": [Page(get=VIEWER, post=VIEWER, verb="csv")]
        for model in (
            "updates_auditentry",
            "updates_historyentry",
            "updates_job",
            "webhooks_delivery",
        )
    },
    "webhooks_delivery_replay_dead": [Page(get=OPERATOR, post=OPERATOR)],
    "registry_serviceaccount_issue_token": [
        Page(get=ADMINISTRATOR, post=ADMINISTRATOR, place="account")
    ],
    "auth_user_password_change": [Page(get=ADMINISTRATOR, post=ADMINISTRATOR, place="user")],
}
#: Django's own pages that belong to no model; all but the first ask for a member of staff.
SITE = {
    "login",
    "logout",
    "console_approval_link",
    "index",
    "search",
    "password_change",
    "password_change_done",
} | {
    *("autocomplete", "jsi18n", "view_on_site", "app_list", ""),
}
#: What is served of allauth: the login, and each person's own second factors.
SIGN_IN = {
    *("account_login", "account_logout", "account_reauthenticate"),
    *("console_provider", "console_provider_callback", "console_provider_logout"),
    *("mfa_index", "mfa_authenticate", "mfa_reauthenticate"),
    *("mfa_activate_totp", "mfa_deactivate_totp"),
    *("mfa_view_recovery_codes", "mfa_generate_recovery_codes", "mfa_download_recovery_codes"),
    *("mfa_list_webauthn", "mfa_add_webauthn", "mfa_reauthenticate_webauthn"),
    *("mfa_remove_webauthn", "mfa_edit_webauthn"),
}
#: What needs no member of staff, because it makes one, says goodbye, or carries its own proof.
FREE = {
    *("login", "logout", "account_login", "account_logout", "console_approval_link"),
    *("console_provider", "console_provider_callback", "console_provider_logout"),
}


@dataclass(frozen=True, kw_only=True)
class Table:
    """The least role for each thing that a model's lists and forms offer, None where no role may."""

    view: str | None = VIEWER
    add: str | None = None
    change: str | None = None
    delete: str | None = None
    actions: dict[str, str] = field(default_factory=dict)


DELETED = {"delete_selected": ADMINISTRATOR}
CONFIGURED = Table(add=ADMINISTRATOR, change=ADMINISTRATOR, delete=ADMINISTRATOR, actions=DELETED)
SCHEDULED = dataclasses.replace(CONFIGURED, view=ADMINISTRATOR)
MODELS: dict[str, Table] = {
    "auth.group": SCHEDULED,
    "auth.user": dataclasses.replace(
        SCHEDULED, actions={**DELETED, "reset_second_factors": ADMINISTRATOR}
    ),
    "axes.accessattempt": Table(
        view=ADMINISTRATOR,
        change=ADMINISTRATOR,
        delete=ADMINISTRATOR,
        actions={**DELETED, "cleanup_expired_attempts": ADMINISTRATOR},
    ),
    **dict.fromkeys(
        ("axes.accessfailurelog", "axes.accesslog"),
        Table(view=ADMINISTRATOR, change=ADMINISTRATOR, delete=ADMINISTRATOR, actions=DELETED),
    ),
    **dict.fromkeys(
        ("django_celery_beat.crontabschedule", "django_celery_beat.intervalschedule"), SCHEDULED
    ),
    "django_celery_beat.periodictask": Table(
        view=ADMINISTRATOR,
        add=ADMINISTRATOR,
        change=ADMINISTRATOR,
        delete=ADMINISTRATOR,
        actions={
            **DELETED,
            "enable_tasks": ADMINISTRATOR,
            "disable_tasks": ADMINISTRATOR,
            "toggle_tasks": ADMINISTRATOR,
            "run_tasks": ADMINISTRATOR,
        },
    ),
    "registry.event": Table(),
    "registry.instance": Table(),
    "registry.service": Table(
        actions={
            "approve_services": APPROVER,
            "reject_services": APPROVER,
            "deregister_services": OPERATOR,
        }
    ),
    "registry.serviceaccount": Table(add=ADMINISTRATOR, change=ADMINISTRATOR),
    "registry.subscription": Table(
        actions={
            "activate_subscriptions": OPERATOR,
            "suspend_subscriptions": OPERATOR,
            "cancel_subscriptions": OPERATOR,
        }
    ),
    "registry.token": Table(actions={"revoke_tokens": ADMINISTRATOR}),
    "updates.approval": Table(actions={"approve_updates": APPROVER, "reject_updates": APPROVER}),
    "updates.auditentry": Table(),
    "updates.historyentry": Table(
        actions={
            "correct_to_success": ADMINISTRATOR,
            "correct_to_failed": ADMINISTRATOR,
            "correct_to_rolled_back": ADMINISTRATOR,
        }
    ),
    "updates.node": Table(actions={"approve_nodes": ADMINISTRATOR, "revoke_nodes": ADMINISTRATOR}),
    "updates.hold": Table(
        add=OPERATOR, change=OPERATOR, delete=OPERATOR, actions={"delete_selected": OPERATOR}
    ),
    "updates.job": Table(),
    "updates.release": Table(
        actions={
            "deploy_releases": OPERATOR,
            "deploy_releases_anyway": APPROVER,
            "quarantine_releases": APPROVER,
            "withdraw_releases": APPROVER,
            "make_releases_available": APPROVER,
        }
    ),
    "updates.source": Table(
        add=ADMINISTRATOR,
        change=ADMINISTRATOR,
        delete=ADMINISTRATOR,
        actions={**DELETED, "check_now": ADMINISTRATOR},
    ),
    **dict.fromkeys(
        (
            *("updates.credential", "updates.freeze", "updates.maintenancewindow"),
            *("updates.policy", "updates.selectorpolicy", "updates.target"),
            *("webhooks.configuration", "webhooks.githubhook", "webhooks.notificationrule"),
            "registry.healthcheck",
        ),
        CONFIGURED,
    ),
    "webhooks.delivery": Table(),
    "webhooks.inboundcall": Table(),
    "webhooks.alert": Table(actions={"acknowledge_alerts": OPERATOR}),
    "webhooks.receiver": Table(actions={"resume_receivers": OPERATOR}),
}


# --- What there is --------------------------------------------------------------------------------


def addresses() -> Iterator[tuple[str, str]]:
    """Every address below /admin/ and its name, as the resolver knows them."""

    def walk(patterns: Any, prefix: str) -> Iterator[tuple[str, str]]:
        for entry in patterns:
            here = prefix + str(entry.pattern)
            if isinstance(entry, URLResolver):
                yield from walk(entry.url_patterns, here)
            elif isinstance(entry, URLPattern):
                yield here, entry.name or ""

    for path, name in walk(get_resolver().url_patterns, "/"):
        if path.startswith("/admin/"):
            yield path, name


def of_models() -> set[str]:
    """The names of the pages that Django's admin gives to each model."""
    return {
        f"{model._meta.app_label}_{model._meta.model_name}_{page}"
        for model in admin.site._registry
        for page in ("changelist", "add", "change", "delete", "history")
    }


def test_every_address_is_in_a_table() -> None:
    names = {name for _, name in addresses()}

    assert names - of_models() == {*PAGES, *SITE, *SIGN_IN}


def test_every_model_is_in_the_table() -> None:
    assert {model._meta.label_lower for model in admin.site._registry} == set(MODELS)


# --- Lists, forms and actions of models -----------------------------------------------------------


def person(role: str) -> User:
    user = User.objects.create(username=f"one-of-{role}", is_staff=True)
    user.groups.add(Group.objects.get(name=role))
    return user


def least(offered: dict[str, set[str]], name: str) -> str | None:
    """Return the least role to which something is offered; every role above it must have it too."""
    having = [role for role in ROLES if name in offered[role]]
    assert having == list(ROLES[len(ROLES) - len(having) :])
    return having[0] if having else None


def offers(page: admin.ModelAdmin[Any], user: User) -> set[str]:
    request = RequestFactory().get("/admin/")
    request.user = user
    may = {
        "view": page.has_view_permission(request),
        "add": page.has_add_permission(request),
        "change": page.has_change_permission(request),
        "delete": page.has_delete_permission(request),
    }
    return {name for name, is_allowed in may.items() if is_allowed} | set(page.get_actions(request))


def test_a_role_has_what_the_table_of_models_says() -> None:
    people = {role: person(role) for role in ROLES}

    found = {}
    for model, page in admin.site._registry.items():
        offered = {role: offers(page, user) for role, user in people.items()}
        names = sorted(set.union(*offered.values()) - {"view", "add", "change", "delete"})
        found[model._meta.label_lower] = Table(
            view=least(offered, "view"),
            add=least(offered, "add"),
            change=least(offered, "change"),
            delete=least(offered, "delete"),
            actions={name: str(least(offered, name)) for name in names},
        )

    assert found == MODELS


def test_every_action_is_in_the_table() -> None:
    user = User.objects.create_superuser("root")
    request = cast(HttpRequest, SimpleNamespace(user=user, GET={}))

    declared = {
        model._meta.label_lower: set(page.get_actions(request))
        for model, page in admin.site._registry.items()
    }

    assert declared == {label: set(table.actions) for label, table in MODELS.items()}


# --- Pages ----------------------------------------------------------------------------------------


def make(kind: str) -> dict[str, Any]:
    """Make one row of everything that has a page; return what fills the address of each."""
    made = rows.make(name=f"shop-{kind}")
    account = accounts.ensure_account("owner", scopes=[])
    if kind == OWNED:
        Service.objects.filter(pk=made.service.pk).update(account=account)
    configuration = made.configuration.pk
    if kind == GLOBAL:
        row = Configuration.objects.create(configured_at=NOW)
        row.endpoints.create(channel="ops", url="http://127.0.0.1:9/")
        configuration = row.pk
    source = factories.SourceFactory.create(
        service=made.service, kind="json", location="http://127.0.0.1:9/releases"
    )
    return {
        "service": made.service.name,
        "job": made.job.job_id,
        "approval": made.approval.pk,
        "call": made.call.pk,
        "delivery": made.delivery.pk,
        "configuration": configuration,
        "account": account.pk,
        "source": source.pk,
        "user": User.objects.create(username=f"guest-{kind}").pk,
        "": None,
    }


def client_of(user: User) -> Client:
    client = Client(SERVER_NAME="localhost", raise_request_exception=True)
    client.force_login(user, backend=BACKEND)
    return client


def address(name: str, page: Page, places: dict[str, Any]) -> str:
    given = [part for part in (places[page.place], page.verb) if part]
    return reverse(f"admin:{name}", args=given)


def is_rendered(page: Page, role: str, kind: str) -> bool:
    """A page looks the same for each owner and costs the most; ``test_permissions`` shows it to all roles."""
    return kind == page.objects[-1] and (page.get != VIEWER or role == VIEWER)


def may(role: str, lowest: str) -> bool:
    return ROLES.index(role) >= ROLES.index(lowest)


@pytest.mark.parametrize("role", ROLES)
def test_a_role_reaches_what_the_table_of_pages_says(role: str) -> None:
    client = client_of(person(role))

    wrong = []
    for kind in (OWNED, UNOWNED, GLOBAL):
        places = make(kind)
        for name, page in ((name, page) for name, pages in PAGES.items() for page in pages):
            if kind not in page.objects:
                continue
            for method, lowest in (("get", page.get), ("post", page.post)):
                if lowest is None or (method == "get" and not is_rendered(page, role, kind)):
                    continue
                before = transaction.savepoint()
                status = getattr(client, method)(address(name, page, places)).status_code
                transaction.savepoint_rollback(before)  # every request meets the same rows
                if (status != 403) != may(role, lowest) or status >= 500:
                    wrong.append((kind, name, page.verb, method, status))
    assert wrong == []


def filled(path: str) -> str:
    """An address of the route; nothing of that name exists."""
    with_keys = re.sub(r"<uuid:\w+>", str(uuid.UUID(int=1)), path)
    return re.sub(r"<[^>]+>", "1", with_keys).partition("^")[0].partition("(?P")[0]


def lapsed(caller: str) -> Client:
    """Return the client of a caller that is no member of staff, or no longer."""
    if caller == "anonymous":
        return Client(SERVER_NAME="localhost")
    user = User.objects.create_superuser(caller)
    client = client_of(user)
    if caller == "plain":
        User.objects.filter(pk=user.pk).update(is_staff=False)
    elif caller == "revoked":
        User.objects.filter(pk=user.pk).update(is_active=False)
    else:
        session = client.session
        session.set_expiry(dt.datetime.now(dt.UTC) - dt.timedelta(days=1))
        session.save()
    return client


def is_sent_to_login(client: Client, method: str, path: str) -> bool:
    answer = getattr(client, method)(path)
    return bool(answer.status_code == 302 and answer["Location"].startswith("/admin/login/"))


def test_all_pages_but_the_login_ask_for_a_member_of_staff() -> None:
    client = lapsed("anonymous")
    guarded = {filled(path) for path, name in addresses() if name not in FREE}

    assert [path for path in guarded if not is_sent_to_login(client, "get", path)] == []


@pytest.mark.parametrize("caller", ["anonymous", "plain", "expired", "revoked"])
def test_pages_and_verbs_refuse_people_that_are_no_longer_staff(caller: str) -> None:
    client = lapsed(caller)
    own = [filled(path) for path, name in addresses() if name in PAGES]
    lists = [filled(path) for path, name in addresses() if name.endswith("_changelist")]
    requests = [("post", path) for path in (*own, *lists)] + [("get", path) for path in own]

    assert [each for each in requests if not is_sent_to_login(client, *each)] == []
