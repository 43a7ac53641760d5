"""A whole installation out of one file over HTTP, and back into one."""

from __future__ import annotations

import copy
import datetime as dt
import json
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
import yaml
from django.conf import settings as django_settings
from django.test import Client
from pytest_django import Settings
from rest_framework.test import APIClient
from saga_client.command_line import declared

from registry.identity import accounts
from registry.models import HealthCheck, ManagedObject, Service, ServiceAccount, Subscription
from saga_project.shared import crypto
from saga_project.web.declared.sections import SECTIONS
from tests import factories
from updates.models import (
    AuditEntry,
    Credential,
    Freeze,
    Hold,
    MaintenanceWindow,
    Policy,
    SelectorPolicy,
    Source,
    Target,
)
from webhooks.models import Configuration, Endpoint, GitHubHook, NotificationRule

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis")]

INSTALLATION: dict[str, Any] = {
    "managed_by": "saga.yaml",
    "accounts": [
        {"name": "chief", "scopes": ["admin:registry"]},
        {
            "name": "pay-team",
            "scopes": ["registry:manage"],
            "description": "Payments",
            "selector": "team=pay",
        },
    ],
    "services": [
        {"name": "mail"},
        {"name": "shop", "account": "pay-team", "category": "sales"},
    ],
    "subscriptions": [
        {
            "service_name": "mail",
            "subscriber": "billing",
            "account": "pay-team",
            "accepted": True,
            "callback_url": "https://billing.example/hook",
            "topics": ["deployment.*"],
            "secret": "${env:SAGA_SECRET_BILLING}",
        },
        {"service_name": "pay*", "subscriber": "audit", "state": "suspended"},
    ],
    "policies": [
        {"service_name": "shop", "kind": "auto", "version_range": ">=1,<3", "channel": "beta"}
    ],
    "selector_policies": [
        {"name": "production", "selector": "env=prod", "priority": 5, "kind": "approve"}
    ],
    "sources": [
        {
            "service_name": "shop",
            "kind": "github",
            "location": "acme/shop",
            "token": "${env:SAGA_SECRET_GITHUB}",
        }
    ],
    "targets": [
        {
            "service_name": "shop",
            "name": "first",
            "labels": {"ring": "canary"},
            "secret_environment": {"PASSWORD": "${file:password}"},
        }
    ],
    "checks": [
        {"service_name": "shop", "name": "answers", "url": "/healthz", "interval_seconds": 30}
    ],
    "windows": [
        {"selector": "!night", "name": "nights", "opens_at": "22:00", "duration_minutes": 60},
        {"service_name": "shop", "name": "noon", "opens_at": "12:00", "duration_minutes": 30},
    ],
    "freezes": [
        {
            "name": "holidays",
            "selector": "env=prod",
            "starts_on": "2030-12-20",
            "ends_on": "2031-01-02",
        }
    ],
    "skips": [{"service_name": "shop", "version": "2.0.0", "reason": "broken"}],
    "credentials": [
        {"host": "packages.example", "kind": "bearer", "secret": "${env:SAGA_SECRET_HOST}"}
    ],
    "github_hooks": [
        {"repository": "acme/shop", "hook_id": 7, "token": "${env:SAGA_SECRET_GITHUB}"}
    ],
    "webhooks": [
        {"service_name": None, "endpoints": {"ops": "https://chat.example/hook/1"}},
        {"service_name": "shop", "endpoints": {}, "secret": "${env:SAGA_SECRET_SHOP}"},
    ],
    "channels": [
        {"channel": "pager", "format": "pagerduty", "secret": "${env:SAGA_SECRET_PAGER}"},
        {
            "service_name": "shop",
            "channel": "chat",
            "format": "slack",
            "url": "https://hooks.slack.example/1",
        },
    ],
    "notification_rules": [
        {
            "name": "failures",
            "event_types": ["deployment.failed"],
            "channels": ["ops"],
            "quiet_from": "22:00:00",
            "quiet_until": "06:00:00",
            "time_zone": "Europe/Amsterdam",
        },
        {
            "service_name": "shop",
            "name": "all",
            "event_types": ["*"],
            "channels": ["ops"],
            "digest": "weekly",
        },
    ],
}
_FREEZE = {"name": "holidays", "starts_on": "2030-12-20", "ends_on": "2031-01-02"}
#: In the order in which nothing refers to what is gone.
DESCRIBED = (
    Subscription,
    HealthCheck,
    NotificationRule,
    Configuration,
    GitHubHook,
    Credential,
    Hold,
    Freeze,
    MaintenanceWindow,
    Target,
    Source,
    Policy,
    SelectorPolicy,
    Service,
)


@pytest.fixture
def chief(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    settings.SAGA_DATA_DIR = tmp_path
    (tmp_path / "references").mkdir()
    (tmp_path / "references" / "password").write_text("hunter2\n")
    monkeypatch.setenv("SAGA_SECRET_BILLING", "another signing secret of some bytes")
    monkeypatch.setenv("SAGA_SECRET_GITHUB", "ghp_s3cret")
    monkeypatch.setenv("SAGA_SECRET_HOST", "host s3cret")
    monkeypatch.setenv("SAGA_SECRET_PAGER", "a routing key of some bytes")
    monkeypatch.setenv("SAGA_SECRET_SHOP", "a signing secret of some bytes")
    return _administrator()


def _administrator() -> dict[str, str]:
    account = accounts.ensure_account("chief", scopes=["admin:registry"])
    _, text = accounts.issue_token(account, scopes=["admin:registry"])
    return {"Authorization": f"Bearer {text}"}


def _apply(api: APIClient, document: Any, headers: dict[str, str], query: str = "") -> Any:
    return api.post(f"/api/v1/apply{query}", document, format="json", headers=headers)


def _wipe() -> None:
    ManagedObject.objects.all().delete()
    for model in DESCRIBED:
        model.objects.all().delete()
    ServiceAccount.objects.all().delete()


def test_an_installation_is_made_exported_wiped_and_made_again(
    api: APIClient, chief: dict[str, str]
) -> None:
    made = _apply(api, INSTALLATION, chief)
    exported = api.get("/api/v1/export", headers=chief).json()
    _wipe()
    chief = _administrator()
    again = _apply(api, {**exported, "managed_by": "saga.yaml"}, chief)
    state = api.get("/api/v1/export", headers=chief).json()

    assert made.status_code == 200, made.content
    assert (made.json()["created"], made.json()["updated"]) == (22, 0)
    assert made.json()["unchanged"] == 1  # the administrator itself
    assert again.status_code == 200, again.content
    assert state == exported
    assert exported["policies"][0]["version_range"] == ">=1,<3"
    assert exported["targets"][0]["secret_environment"] == {"PASSWORD": "${file:password}"}
    assert "hunter2" not in json.dumps([made.json(), exported])
    rule = NotificationRule.objects.get(name="failures")
    assert (rule.quiet_until, rule.time_zone) == (dt.time(6), "Europe/Amsterdam")
    assert ServiceAccount.objects.get(name="pay-team").selector == "team=pay"
    assert SelectorPolicy.objects.get().priority == 5
    assert Freeze.objects.get().selector == "env=prod"
    assert exported["windows"][0]["selector"] == "!night"
    policy = Policy.objects.get()
    assert (policy.kind, policy.service.account) == (
        "auto",
        ServiceAccount.objects.get(name="pay-team"),
    )
    assert Target.objects.get().sealed_environment
    assert Credential.objects.get().secret == "host s3cret"
    assert GitHubHook.objects.get().sealed_token
    assert Hold.objects.get().version == "2.0.0"
    assert Source.objects.get().sealed_token
    assert Configuration.objects.get(service__name="shop").sealed_secret
    subscription = Subscription.objects.get(service__name="mail")
    assert crypto.decrypt(subscription.sealed_secret) == "another signing secret of some bytes"
    assert str(subscription.pk) == exported["subscriptions"][1]["id"]
    assert exported["subscriptions"][1]["secret"] == "${env:SAGA_SECRET_BILLING}"


def test_the_address_of_a_channel_is_given_by_reference(
    api: APIClient, chief: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    address = "https://hooks.slack.example/services/T0/B0/s3cret"
    monkeypatch.setenv("SAGA_SECRET_SLACK", address)
    document = {"channels": [{"channel": "slack", "url": "${env:SAGA_SECRET_SLACK}"}]}

    made, again = (_apply(api, document, chief) for _ in range(2))
    stored = Endpoint.objects.get().url
    exported = api.get("/api/v1/export?managed_by=apply", headers=chief).json()
    changed = _apply(api, {"channels": [{**document["channels"][0], "format": "teams"}]}, chief)
    left_out = _apply(api, {"channels": [{"channel": "slack", "format": "discord"}]}, chief)
    then = api.get("/api/v1/export", headers=chief).json()
    dropped = _apply(api, {}, chief)

    answers = [each.json() for each in (made, again, changed, left_out, dropped)]
    assert stored == address
    references = [each["channels"][0]["url"] for each in (exported, then)]
    assert references == ["${env:SAGA_SECRET_SLACK}"] * 2
    assert [each["changes"] and each["changes"][0]["action"] for each in answers] == [
        *("create", []),
        *("update", "update", "delete"),
    ]
    trail = [entry.data for entry in AuditEntry.objects.all()]
    assert "s3cret" not in json.dumps([*answers, exported, then, *trail])


def test_services_that_a_file_makes_are_in_the_audit_trail(
    api: APIClient, chief: dict[str, str]
) -> None:
    for _ in range(2):
        _apply(api, {"services": [{"name": "mail"}]}, chief)

    entry = AuditEntry.objects.get(action="service.added")
    assert (entry.actor, entry.service_name) == ("chief", "mail")


@pytest.mark.parametrize(
    "secret",
    [
        "${file:/run/secrets/token}",
        "${file:../secrets/local_token}",
        "${file:..}",
        "${env:}",
        "Bearer ${env:SAGA_SECRET_HOST}",
    ],
)
def test_what_is_meant_as_a_reference_is_not_stored_as_the_secret(
    api: APIClient, chief: dict[str, str], secret: str
) -> None:
    item = {"host": "packages.example", "kind": "bearer", "secret": secret}

    answer = _apply(api, {"credentials": [item]}, chief)

    assert (answer.status_code, answer.json()["error"]) == (400, "Invalid reference")
    assert not Credential.objects.exists()


def test_the_installation_has_every_section_that_a_file_can_have() -> None:
    assert set(INSTALLATION) - {"managed_by"} == {section.name for section in SECTIONS}


def test_channels_of_both_sections_stand_side_by_side(
    api: APIClient, chief: dict[str, str]
) -> None:
    pager = {"channel": "pager", "format": "pagerduty", "secret": "${env:SAGA_SECRET_PAGER}"}
    ops = {"endpoints": {"ops": "https://chat.example/1"}}

    def channels(document: dict[str, Any]) -> set[str]:
        assert _apply(api, document, chief).status_code == 200
        return set(Endpoint.objects.values_list("channel", flat=True))

    assert channels({"webhooks": [ops], "channels": [pager]}) == {"ops", "pager"}
    assert channels({"webhooks": [{"endpoints": {}}], "channels": [pager]}) == {"pager"}
    assert crypto.decrypt(Endpoint.objects.get().sealed_secret) == "a routing key of some bytes"
    assert channels({"webhooks": [ops]}) == {"ops"}


def test_files_of_a_directory_are_one(api: APIClient, chief: dict[str, str]) -> None:
    def apply(text: str) -> Any:
        return api.post("/api/v1/apply", text, content_type="application/yaml", headers=chief)

    one = "---\nmanaged_by: x\nservices: [{name: a}]\n"
    two = '---\n{"services": [{"name": "b"}]}\n'

    both = apply(f"{one}{two}---\n")
    other = apply(f"{one}---\nmanaged_by: y\n")

    assert (both.status_code, both.json()["created"]) == (200, 2)
    assert (other.status_code, other.json()["error"]) == (400, "Invalid document")


def test_a_change_by_hand_of_what_a_file_manages_says_so(
    api: APIClient, chief: dict[str, str]
) -> None:
    _apply(api, INSTALLATION, chief)

    changed = api.patch("/api/v1/policies/shop", {"kind": "manual"}, format="json", headers=chief)

    assert changed.status_code == 200
    assert "saga.yaml" in changed["X-Saga-Warning"]


@pytest.mark.parametrize("kind", ["service", "source", "configuration", "hook"])
def test_pages_of_what_a_file_manages_are_marked(
    api: APIClient, chief: dict[str, str], admin_client: Client, kind: str
) -> None:
    _apply(api, INSTALLATION, chief)
    configuration = Configuration.objects.get(service__name="shop")
    pages = {
        "service": "/admin/services/shop/",
        "source": f"/admin/sources/{Source.objects.get().pk}/",
        "configuration": f"/admin/webhooks/configuration/{configuration.pk}/change/",
        "hook": f"/admin/webhooks/githubhook/{GitHubHook.objects.get().pk}/change/",
    }

    page = admin_client.get(pages[kind]).content.decode()

    assert "saga.yaml" in page
    assert "its next apply overwrites" in page


def test_the_same_file_again_changes_nothing(api: APIClient, chief: dict[str, str]) -> None:
    _apply(api, INSTALLATION, chief)
    before = AuditEntry.objects.count()

    again = _apply(api, INSTALLATION, chief).json()

    assert (again["changes"], again["unchanged"]) == ([], 23)
    assert AuditEntry.objects.count() == before


def test_a_dry_run_shows_the_differences_and_changes_nothing(
    api: APIClient, chief: dict[str, str]
) -> None:
    _apply(api, INSTALLATION, chief)
    changed = copy.deepcopy(INSTALLATION)
    changed["policies"][0]["kind"] = "manual"
    changed["windows"].pop(0)
    before = api.get("/api/v1/export", headers=chief).json()

    shown = _apply(api, changed, chief, "?dry_run=true").json()

    assert api.get("/api/v1/export", headers=chief).json() == before
    assert shown["dry_run"] is True
    assert [(each["action"], each["section"]) for each in shown["changes"]] == [
        ("update", "policies"),
        ("delete", "windows"),
    ]
    assert shown["changes"][0]["item"] == {"service_name": "shop"}
    assert shown["changes"][0]["before"]["kind"] == "auto"
    assert shown["changes"][0]["after"]["kind"] == "manual"


def test_only_what_the_file_made_is_taken_away(api: APIClient, chief: dict[str, str]) -> None:
    factories.PolicyFactory.create(service__name="other")
    _apply(api, INSTALLATION, chief)

    kept = INSTALLATION["accounts"][:1]
    elsewhere = _apply(api, {"managed_by": "other.yaml"}, chief).json()
    emptied = _apply(api, {"managed_by": "saga.yaml", "accounts": kept}, chief).json()

    assert emptied["deleted"] == 22
    assert elsewhere["changes"] == []
    assert [policy.service.name for policy in Policy.objects.all()] == ["other"]
    assert not Target.objects.exists()
    # What has a life of its own stays: services are detached, accounts deactivated.
    assert Service.objects.filter(name="shop").exists()
    assert ServiceAccount.objects.get(name="pay-team").is_active is False


def test_the_console_marks_what_a_file_manages(
    api: APIClient, chief: dict[str, str], admin_client: Client
) -> None:
    _apply(api, INSTALLATION, chief)
    other = factories.PolicyFactory.create(service__name="other")

    pages = [
        admin_client.get(address, headers={"Host": "localhost"}).content.decode()
        for address in (
            f"/admin/updates/policy/{Policy.objects.get(service__name='shop').pk}/change/",
            f"/admin/registry/serviceaccount/{ServiceAccount.objects.get(name='pay-team').pk}/change/",
            f"/admin/updates/policy/{other.pk}/change/",
        )
    ]

    assert ["Managed by the file saga.yaml" in page for page in pages] == [True, True, False]


def test_a_row_of_another_file_is_left_alone(api: APIClient, chief: dict[str, str]) -> None:
    _apply(api, INSTALLATION, chief)
    stranger = {
        "managed_by": "other.yaml",
        "policies": [{"service_name": "shop", "kind": "manual"}],
    }

    answer = _apply(api, stranger, chief)

    assert (answer.status_code, answer.json()["error"]) == (409, "Managed by another file")
    assert Policy.objects.get().kind == "auto"


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"polices": []}, "polices"),
        ({"policies": [{"service_name": "shop", "kind": "fast"}]}, "policies[0].kind"),
        ({"policies": [{"service_name": "shop", "version_range": "><"}]}, "policies[0]"),
        ({"policies": [{"service_name": "none"}]}, "policies[0]"),
        ({"services": [{"name": "shop"}, {"name": "shop"}]}, "services[1]"),
        ({"services": [{"name": "shop", "account": "none"}]}, "services[0].account"),
        (
            {"sources": [{"service_name": "shop", "kind": "github", "location": "x"}]},
            "sources[0]",
        ),
        (
            {
                "sources": [
                    {"service_name": "shop", "kind": "announced", "token": "${env:DATABASE_URL}"}
                ]
            },
            "sources[0]",
        ),
        ({"webhooks": [{"service_name": "shop", "secret": "${file:gone}"}]}, "webhooks[0]"),
        ({"freezes": [{**_FREEZE, "selector": ""}]}, "freezes[0]"),
        ({"selector_policies": [{"name": "all", "selector": ""}]}, "selector_policies[0]"),
        ({"selector_policies": [{"name": "all"}]}, "selector_policies[0]"),
        ({"freezes": [{**_FREEZE, "selector": "env in (a)"}]}, "freezes[0]"),
        ({"freezes": [{**_FREEZE, "selector": "env=a", "service_name": "shop"}]}, "freezes[0]"),
    ],
)
def test_a_wrong_file_is_refused_whole(
    api: APIClient, chief: dict[str, str], changes: dict[str, Any], named: str
) -> None:
    document = {"services": [{"name": "shop"}], **changes}

    answer = _apply(api, document, chief)

    assert answer.status_code in (400, 404)
    assert named in answer.json()["message"]
    assert not Service.objects.exists()
    assert not AuditEntry.objects.exists()


def test_yaml_and_toml_say_the_same_as_json(api: APIClient, chief: dict[str, str]) -> None:
    window = "{name: nights, opens_at: 22:00, duration_minutes: 60}"
    text = f"services: [{{name: shop}}]\nwindows: [{window}]\n"
    toml = 'services = [{name = "shop"}]\n[[windows]]\nname = "nights"\nopens_at = 22:00:00\n'

    made = api.generic(
        "POST", "/api/v1/apply", text, content_type="application/yaml", headers=chief
    )
    same = api.generic(
        "POST",
        "/api/v1/apply",
        f"{toml}duration_minutes = 60\n",
        content_type="application/toml",
        headers=chief,
    )
    exported = api.get("/api/v1/export?format=yaml&managed_by=apply", headers=chief)

    assert (made.status_code, made.json()["created"]) == (200, 2)
    assert (same.status_code, same.json()["unchanged"]) == (200, 2)
    assert yaml.safe_load(exported.content)["services"][0]["name"] == "shop"


def test_a_directory_of_toml_and_other_files_is_one_document(
    api: APIClient, chief: dict[str, str], tmp_path: Path
) -> None:
    parts = {
        "a.toml": 'managed_by = "files"\n[[services]]\nname = "shop"\n'
        r'description = "❄ 😀 \u00e9 \\ud83d"',
        "b.toml": '[[windows]]\nname = "n"\nopens_at = 22:00:00\nduration_minutes = 60\n',
        "c.yaml": "services: [{name: mail}]\n",
        "d.json": '{"services": [{"name": "pay"}]}',
        "ignored.txt": "services: [{name: not}]",
    }
    for name, text in parts.items():
        (tmp_path / name).write_text(text)

    answer = api.generic(
        "POST",
        "/api/v1/apply",
        declared._read(tmp_path).decode(),
        content_type="application/yaml",
        headers=chief,
    )

    assert (answer.status_code, answer.json()["created"]) == (200, 4)
    assert set(Service.objects.values_list("name", flat=True)) == {"mail", "pay", "shop"}
    assert Service.objects.get(name="shop").description == r"❄ 😀 é \ud83d"
    assert MaintenanceWindow.objects.get().opens_at == dt.time(22)


@pytest.mark.parametrize("text", ["a: &x 1\nb: *x\n", "services: []\nservices: []\n", "- 1\n", "{"])
def test_yaml_that_means_more_than_json_is_refused(
    api: APIClient, chief: dict[str, str], text: str
) -> None:
    answer = api.generic(
        "POST", "/api/v1/apply", text, content_type="application/yaml", headers=chief
    )

    assert answer.status_code == 400


@pytest.mark.parametrize(
    ("kind", "text"), [("yaml", "services: [.nan]"), ("yaml", "x: -.inf"), ("toml", "x = nan")]
)
def test_number_that_json_does_not_have_is_refused(
    api: APIClient, chief: dict[str, str], kind: str, text: str
) -> None:
    answer = api.generic(
        "POST", "/api/v1/apply", text, content_type=f"application/{kind}", headers=chief
    )

    assert (answer.status_code, answer.json()["error"]) == (400, "Invalid document")
    assert "is no number of JSON" in answer.json()["message"]


def test_the_schema_for_editors_takes_the_file_and_finds_a_typing_error(api: APIClient) -> None:
    schema = api.get("/api/v1/apply/schema").json()
    wrong = {**INSTALLATION, "policies": [{"service_name": "shop", "knid": "auto"}]}

    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(INSTALLATION, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(wrong, schema)


def test_only_an_administrator_applies(api: APIClient) -> None:
    assert django_settings.SAGA_AUTH == "open"
    assert _apply(api, {}, {}).status_code == 401
    assert api.get("/api/v1/export").status_code == 401
