"""Every type of event: what the constructors emit is what the document declares."""

from __future__ import annotations

import datetime as dt
import inspect
import json
import re
import string
import uuid
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, get_type_hints

import jsonschema  # type: ignore[import-untyped]
import pytest
from django.db import transaction

import registry.events.constructors
import updates.event_constructors.constructors
import webhooks.event_constructors.constructors
from registry import events
from registry.events import EventDraft
from registry.events.log import Cursor, Entry
from registry.models import Service
from saga_project.web import openapi
from saga_project.web.openapi.events import CALLBACKS, TYPES, name_of
from tests.factories import ServiceFactory, SubscriptionFactory
from updates.models import Job, Release, Target
from webhooks.event_constructors import LIFECYCLE_EVENTS
from webhooks.models import Delivery
from webhooks.outbound.alerts import kinds
from webhooks.outbound.channels import standard
from webhooks.outbound.channels.notification import Notification

ROOT = Path(__file__).resolve().parents[4]
NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
#: The modules that may make events, and no other.
MODULES: tuple[ModuleType, ...] = (
    registry.events.constructors,
    updates.event_constructors.constructors,
    webhooks.event_constructors.constructors,
)


def of_the_registry() -> Iterator[EventDraft]:
    yield events.service_registered(
        "shop", instance_id="a", url="http://shop", version="", capabilities=["rest"]
    )
    yield events.service_deregistered("shop", instance_ids=["a"])
    yield events.service_expired("shop", instance_id="a", last_heartbeat_at=NOW.isoformat())
    yield events.service_taken_over("shop", account="ci", subscriptions=["mail"])
    yield events.service_suspect("shop", instance_id="a")
    yield events.service_degraded("shop", misses=3)
    yield events.service_unreachable("shop", misses=10)
    yield events.service_recovered("shop")
    yield events.service_version_changed("shop", old="", new="2")
    yield events.service_approved("shop", by="ann")
    yield events.service_rejected("shop", by="ann", reason="unknown")
    for has_begun in (True, False):
        yield events.maintenance_changed(
            "shop", instance_id=None, has_begun=has_begun, by="ann", reason=""
        )
    yield events.health_changed("shop", instance_id=None, old="passing", new="critical")
    for new in ("critical", "passing"):
        yield events.check_changed(
            "shop", check="page", instance_id="a", old="passing", new=new, reason=""
        )
    yield events.certificate_expires(
        "shop", check="page", instance_id="a", expires_at=NOW.isoformat()
    )
    yield events.protection_began(suspects=8, instances=9)
    yield events.protection_ended(instances=9)
    yield events.token_expires(account="ci", name="", prefix="saga_x", expires_at=NOW.isoformat())
    for status in ("degraded", "unhealthy"):
        yield events.saga_problem(check="sweeps", status=status, message="late")
    yield events.saga_recovered(check="sweeps")


def of_updates() -> Iterator[EventDraft]:
    make = updates.event_constructors.constructors
    service = Service(name="shop")
    job = Job(service=service, job_id="deploy-shop-2", version="2", strategy="rolling")
    yield make.release_announced("shop", version="2", origin="webhook", channel="")
    for state in Release.State.values:
        yield make.release_moved("shop", version="2", state=state, reason="")
    yield make.update_available("shop", current=None, latest="2")
    yield make.update_waits("shop", version="2")
    for state in ("approved", "rejected"):
        yield make.approval_decided("shop", version="2", state=state, by="ann")
    yield make.approval_given("shop", version="2", by="ann", approvals=1, required=2)
    yield make.approval_expired("shop", version="2", requested_by="")
    yield make.check_failed("shop", reason="404")
    yield make.check_recovered("shop")
    yield make.service_drifted("shop", deployed="1", reported="2")
    yield make.handed_over("shop", account="ci", dropped={"window": ["n"]}, handed_over={})
    target = Target(service=service, name="blue", node="n1")
    yield make.target_stopped(target, message="stopped", may_still_run=False)
    for moment in ("queued", "started"):
        yield make.deployment_moved(moment, job)
    yield make.deployment_paused(job, reason="canary", seconds=None)
    yield make.deployment_paused(job, reason="canary", seconds=60, on_expiry="rollback")
    yield make.deployment_promoted(job, is_fully=True)
    yield make.deployment_overridden(job, by="ann", reason="hotfix", obstacles={"freeze": "x-mas"})
    for status in ("succeeded", "failed", "rolled_back", "cancelled"):
        yield make.deployment_ended(status, job)
    yield make.acknowledged(job, by="ann")


def of_webhooks() -> Iterator[EventDraft]:
    make = webhooks.event_constructors.constructors
    yield make.webhook_configured("shop", channels=["slack"], has_secret=True)
    yield make.delivery_dead(
        "shop", delivery_id=uuid.UUID(int=1), topic="service.expired", reason="410", attempts=1
    )
    yield make.flapping("shop", instance_id="", times=4, seconds=600)
    yield make.steady("shop", instance_id="a")
    for moment in ("paused", "disabled", "resumed"):
        yield make.receiver(moment, "shop", receiver="0a", url="https://x/***", failures=10)
    for event in LIFECYCLE_EVENTS:
        yield make.lifecycle("shop", event=event, details={"pid": 7}, at=NOW)


SAMPLES = [*of_the_registry(), *of_updates(), *of_webhooks()]


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(openapi.document("required"))
    return found


def check(document: dict[str, Any], schema: str, value: object) -> None:
    """Raise where the value is not of the schema."""
    whole = {"$ref": f"#/components/schemas/{schema}", "components": document["components"]}
    jsonschema.Draft202012Validator(whole).validate(value)


def test_each_constructor_and_each_type_has_a_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    called: set[str] = set()
    constructors = {
        f"{module.__name__}.{name}": (module, name, made)
        for module in MODULES
        for name, made in inspect.getmembers(module, inspect.isfunction)
        if made.__module__ == module.__name__
        and made.__annotations__.get("return", "").endswith("EventDraft")
        and not name.startswith("_")
    }
    for path, (module, name, made) in constructors.items():

        def noted(*args: Any, _path: str = path, _made: Any = made, **more: Any) -> EventDraft:
            called.add(_path)
            draft: EventDraft = _made(*args, **more)
            return draft

        monkeypatch.setattr(module, name, noted)
        if module is registry.events.constructors:
            monkeypatch.setattr(events, name, noted)

    drafts = [*of_the_registry(), *of_updates(), *of_webhooks()]

    assert called == set(constructors)
    assert {draft.type for draft in drafts} == {kind.name for kind in TYPES}


def test_no_other_module_makes_events() -> None:
    own = {Path(str(module.__file__)) for module in MODULES}
    packages = ("registry", "updates", "webhooks", "saga_project")
    files = {file for package in packages for file in (ROOT / package).rglob("*.py")} - own

    assert [file for file in files if "EventDraft(" in file.read_text()] == []


def test_types_are_declared_once() -> None:
    names = [kind.name for kind in TYPES]

    assert len(names) == len(set(names))


@pytest.mark.parametrize("draft", SAMPLES, ids=lambda draft: draft.type)
def test_event_is_what_its_schema_says(document: dict[str, Any], draft: EventDraft) -> None:
    kind = next(kind for kind in TYPES if kind.name == draft.type)
    entry = Entry(Cursor(1, 2), draft.type, draft.service_name, NOW, draft.data).document()

    check(document, "Event", entry)
    check(document, f"{name_of(kind)}Event", entry)
    declared = document["components"]["schemas"][kind.data.__name__].get("properties", {})
    assert set(draft.data) <= set(declared)


@pytest.mark.parametrize(
    "change", [{"type": "service.unheard_of"}, {"type": "service.suspect"}, {"data": {}}]
)
def test_event_of_another_type_is_not_of_the_schema(
    document: dict[str, Any], change: dict[str, Any]
) -> None:
    draft = SAMPLES[0]
    entry = Entry(Cursor(1, 2), draft.type, draft.service_name, NOW, draft.data).document()

    with pytest.raises(jsonschema.ValidationError):
        check(document, "ServiceRegisteredEvent", {**entry, **change})


@pytest.mark.django_db
def test_what_subscribers_get_is_what_the_webhooks_declare(document: dict[str, Any]) -> None:
    service = ServiceFactory.create(name="shop")
    SubscriptionFactory.create(service=service, topics=[])

    with transaction.atomic():
        events.publish(*(draft for draft in SAMPLES if draft.service_name == "shop"))

    payloads = list(Delivery.objects.order_by("pk").values_list("payload", flat=True))
    assert {payload["type"] for payload in payloads} >= {"service.expired", "deployment.queued"}
    for payload in payloads:
        body = document["webhooks"][payload["type"]]["post"]["requestBody"]
        schema = body["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
        check(document, schema, payload)
        check(document, "EventMessage", payload)


@pytest.mark.parametrize("link", ["", "https://saga.example.com/console/"])
def test_notification_is_what_its_webhook_declares(document: dict[str, Any], link: str) -> None:
    notification = Notification(
        service_name="shop",
        message="It expired.",
        severity="error",
        created_at=NOW,
        link=link,
        details={"alerts": []},
    )

    check(document, "NotificationMessage", standard.render(notification))


def test_each_type_has_a_literal_and_a_webhook(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]

    for kind in TYPES:
        for ending in ("Event", "Message"):
            literal = schemas[f"{name_of(kind)}{ending}"]["properties"]["type"]
            assert literal == {"type": "string", "const": kind.name}
    assert set(document["webhooks"]) == {*(kind.name for kind in TYPES), standard.TYPE}
    assert set(schemas["Event"]["discriminator"]["mapping"]) == {kind.name for kind in TYPES}


def test_subscriptions_declare_the_calls_that_they_bring(document: dict[str, Any]) -> None:
    for operations in document["paths"].values():
        for operation in operations.values():
            if operation["operationId"] not in CALLBACKS:
                continue
            call = operation["callbacks"]["events"]["{$request.body#/callback_url}"]["post"]
            schema = call["requestBody"]["content"]["application/json"]["schema"]
            assert schema == {"$ref": "#/components/schemas/EventMessage"}
            assert set(call["responses"]) == {"200", "409", "410", "429", "503"}


def test_texts_of_notifications_name_fields_of_their_events() -> None:
    shapes = {kind.name: set(get_type_hints(kind.data)) for kind in TYPES}

    for name, meaning in kinds.KINDS.items():
        fields = {field for _, field, _, _ in string.Formatter().parse(meaning.text) if field}
        assert fields <= shapes[name], name


def test_every_type_is_in_the_documents() -> None:
    documented = set(re.findall(r"`([a-z]+\.[a-z_]+)`", (ROOT / "docs" / "events.md").read_text()))

    named = {kind.name for kind in TYPES if not kind.name.startswith("lifecycle.")}
    assert named <= documented
