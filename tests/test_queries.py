"""What each route may cost: a bounded number of queries, and no more of them among many than among few."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import dataclass, field
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import TestCase
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_httpserver import HTTPServer
from rest_framework.test import APIClient

import updates.operations
import webhooks.operations
from registry import operations as registry_operations
from registry import presence
from registry.background import protection
from registry.identity import accounts
from registry.models import HealthCheck, Service, Subscription, Token
from saga_project.shared import crypto
from tests import factories
from tests.test_schema import operations, spelled
from updates.models import (
    Approval,
    Credential,
    Freeze,
    HistoryEntry,
    Hold,
    Job,
    JoinToken,
    MaintenanceWindow,
    Node,
    NodeOrder,
    Release,
    SelectorPolicy,
    Source,
    Target,
    Upload,
    UploadChunk,
)
from webhooks.models import (
    Alert,
    Delivery,
    Endpoint,
    GitHubHook,
    InboundCall,
    NotificationRule,
    Receiver,
)

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis")]

FEW, MANY = 2, 7
SHOP = "service-0"
URL = "http://localhost:8001"
ARTIFACT = "https://ci.example/shop-9.9.9.tar.gz"
JOIN_TOKEN = "sagajoin_a"
SCOPES = [
    "nodes:write",
    "registry:manage",
    "services:read",
    "policies:write",
    "targets:write",
    "updates:read",
    "approvals:decide",
    "tokens:write",
]


@dataclass(frozen=True)
class Call:
    """A request that its route answers with a 2xx; ``most`` is what it may cost in queries."""

    route: str
    most: int
    query: str = ""
    body: Any = field(default_factory=dict, hash=False)
    verb: str = ""
    has_token: bool = False
    is_admins: bool = False
    is_nodes: bool = False


READS = [
    Call("GET /api/v1/discovery/prometheus", 0),
    Call("GET /api/v1/docs", 0),
    Call("GET /api/v1/events", 2),
    Call("GET /api/v1/events", 2, query="after=0-0&service=service-*&type=service.*"),
    Call("GET /api/v1/events/stream", 1),
    Call("GET /api/v1/health", 2),
    Call("GET /api/v1/protection", 0),
    Call("GET /api/v1/schema", 0),
    Call("GET /api/v1/apply/schema", 0),
    Call("GET /api/v1/accounts", 2, is_admins=True),
    Call("GET /api/v1/accounts/{account}", 2, is_admins=True),
    Call("GET /api/v1/tokens", 2, has_token=True),
    Call("GET /api/v1/tokens/{token_id}", 2, has_token=True),
    Call("GET /api/v1/me", 1, has_token=True),
    Call("GET /api/v1/me/tokens", 2, has_token=True),
    Call("GET /api/v1/me/tokens/{token_id}", 2, has_token=True),
    Call("GET /api/v1/services", 0),
    Call("GET /api/v1/services", 0, query="capability=rest&version=>=1&q=service"),
    Call("GET /api/v1/services/{name}", 0),
    Call("GET /api/v1/services/{name}/instances", 0),
    Call("GET /api/v1/services/{name}/resolve", 0),
    Call("GET /api/v1/subscriptions", 2),
    Call("GET /api/v1/subscriptions/{subscription_id}", 1),
    Call("GET /api/v1/audit", 1, query="action=source.*&limit=1"),
    Call("GET /api/v1/audit/{sequence}", 1),
    Call("GET /api/v1/audit/verify", 1),
    Call("GET /api/v1/audit/export/{format}", 2),
    Call("GET /api/v1/deliveries", 1, query="status=pending"),
    Call("GET /api/v1/deliveries/{delivery_id}", 2),
    Call("GET /api/v1/github-hooks", 3, is_admins=True),
    Call("GET /api/v1/github-hooks/{hook_id}", 3, is_admins=True),
    Call("GET /api/v1/history-entries", 1),
    Call("GET /api/v1/history-entries/{entry_id}", 1),
    Call("GET /api/v1/services/{name}/notes", 1),
    Call("GET /api/v1/services/{name}/labels", 2),
    Call("GET /api/v1/services/{name}/maintenance", 2),
    Call("GET /api/v1/inbound-calls", 1),
    Call("GET /api/v1/inbound-calls/{call_id}", 1),
    Call("GET /api/v1/services/{name}/approval", 2, has_token=True),
    Call("GET /api/v1/approvals", 5, has_token=True),
    Call("GET /api/v1/approvals/{approval_id}", 5, has_token=True),
    Call("GET /api/v1/policies", 1),
    Call("GET /api/v1/policies/{name}", 1),
    Call("GET /api/v1/selector-policies", 1),
    Call("GET /api/v1/selector-policies/{policy}", 1),
    Call("GET /api/v1/nodes", 2),
    Call("GET /api/v1/nodes/{node}", 1),
    Call("GET /api/v1/artifacts", 2),
    Call("GET /api/v1/artifacts/{upload_id}", 1),
    Call("GET /api/v1/artifacts/{upload_id}/content", 4),
    Call("GET /api/v1/sources", 3),
    Call("GET /api/v1/sources/{source_id}", 2),
    Call("GET /api/v1/releases", 3),
    Call("GET /api/v1/releases/{release_id}", 2),
    Call("GET /api/v1/skips", 1, query="service=service-0&limit=2"),
    Call("GET /api/v1/skips/{hold_id}", 1),
    Call("GET /api/v1/targets", 2, has_token=True),
    Call("GET /api/v1/targets/{target_id}", 2, has_token=True),
    Call("GET /api/v1/credentials", 2, has_token=True),
    Call("GET /api/v1/credentials/{credential_id}", 2, has_token=True),
    Call("GET /api/v1/windows", 1),
    Call("GET /api/v1/windows/{window_id}", 1),
    Call("GET /api/v1/freezes", 1),
    Call("GET /api/v1/freezes/{freeze_id}", 1),
    Call("GET /api/v1/updates/history", 2),
    Call("GET /api/v1/updates/history", 2, query="status=success&since=2020-01-01T00:00:00Z"),
    Call("GET /api/v1/updates/history/{name}", 4),
    Call("GET /api/v1/updates/history/export/{format}", 2),
    Call("GET /api/v1/updates/history/{name}/export/{format}", 3),
    Call("GET /api/v1/updates/jobs", 3),
    Call("GET /api/v1/updates/jobs", 4, query="service=service-0&status=queued"),
    Call("GET /api/v1/updates/jobs/{job_id}", 2),
    Call("GET /api/v1/updates/plan", 12, query="service=service-0"),
    Call("GET /api/v1/updates/statistics", 1),
    Call("GET /api/v1/updates/statistics", 2, query="window=30d"),
    Call("GET /api/v1/updates/statistics/dora", 2),
    Call("GET /api/v1/checks", 1),
    Call("GET /api/v1/checks/{check_id}", 1),
    Call("GET /api/v1/services/{name}/uptime", 4),
    Call("GET /api/v1/notification-rules", 1),
    Call("GET /api/v1/notification-rules/{rule_id}", 1),
    Call("GET /api/v1/alerts", 1),
    Call("GET /api/v1/alerts/{alert_id}", 1),
    Call("GET /api/v1/receivers", 1),
    Call("GET /api/v1/receivers/{receiver_id}", 1),
    Call("GET /api/v1/channels", 1),
    Call("GET /api/v1/channels/{channel_id}", 1),
    Call("GET /api/v1/webhooks/config", 2, query="service_name=service-0"),
]
WRITES = [
    Call("POST /api/v1/alerts/{alert_id}/acknowledge", 12),
    Call("POST /api/v1/channels/{channel_id}/test", 12),
    Call("POST /api/v1/receivers/{receiver_id}/resume", 20),
    Call("POST /api/v1/channels", 30, body={"service_name": SHOP, "channel": "n", "url": URL}),
    Call("PATCH /api/v1/channels/{channel_id}", 25, body={"url": URL}),
    Call("DELETE /api/v1/channels/{channel_id}", 25),
    Call("POST /api/v1/apply", 45, body={"services": [{"name": "new"}]}, is_admins=True),
    # Endpoints are read for each configuration: an export is no hot path.
    Call("GET /api/v1/export", 35, is_admins=True),
    Call("POST /api/v1/github-hooks", 13, body={"repository": "x/y", "hook_id": 9}, is_admins=True),
    Call("PATCH /api/v1/github-hooks/{hook_id}", 13, body={"is_enabled": False}, is_admins=True),
    Call("DELETE /api/v1/github-hooks/{hook_id}", 13, is_admins=True),
    Call(
        "POST /api/v1/history-entries/{entry_id}/correct",
        15,
        body={"status": "failed", "reason": "x"},
        is_admins=True,
    ),
    Call("PATCH /api/v1/services/{name}/notes", 10, body={"notes": "x"}),
    Call(
        "PUT /api/v1/services/{name}/labels", 14, body={"labels": {"env": "prod"}}, is_admins=True
    ),
    Call(
        "PATCH /api/v1/services/{name}/labels", 14, body={"labels": {"env": "dev"}}, is_admins=True
    ),
    Call("PUT /api/v1/services/{name}/maintenance", 18, body={"reason": "x"}, is_admins=True),
    Call("DELETE /api/v1/services/{name}/maintenance", 18, is_admins=True),
    Call("POST /api/v1/deliveries/replay", 10),
    Call("POST /api/v1/deliveries/{delivery_id}/replay", 10),
    Call("POST /api/v1/inbound-calls/{call_id}/replay", 20, is_admins=True),
    Call(
        "POST /api/v1/services/{name}/approval",
        14,
        body={"decision": "reject", "reason": "x"},
        has_token=True,
    ),
    Call("POST /api/v1/accounts", 8, body={"name": "new"}, is_admins=True),
    Call("PATCH /api/v1/accounts/{account}", 9, body={"description": "x"}, is_admins=True),
    Call("POST /api/v1/tokens", 6, body={"scopes": ["tokens:write"]}, has_token=True),
    Call("DELETE /api/v1/tokens/{token_id}", 6, has_token=True),
    Call("POST /api/v1/me/tokens", 6, body={"scopes": ["tokens:write"]}, has_token=True),
    Call("DELETE /api/v1/me/tokens/{token_id}", 6, has_token=True),
    Call("DELETE /api/v1/people/{username}/second-factor", 8, is_admins=True),
    Call("POST /api/v1/approvals/{approval_id}/approve", 55, has_token=True),
    Call("POST /api/v1/approvals/{approval_id}/reject", 22, body={"reason": "x"}, has_token=True),
    Call("POST /api/v1/policies", 12, body={"service_name": "slug-0"}, has_token=True),
    Call("PATCH /api/v1/policies/{name}", 9, body={"kind": "auto"}),
    Call("DELETE /api/v1/policies/{name}", 8),
    Call(
        "POST /api/v1/selector-policies",
        9,
        body={"name": "new", "selector": "env=test"},
        is_admins=True,
    ),
    Call("PATCH /api/v1/selector-policies/{policy}", 10, body={"priority": 1}, is_admins=True),
    Call("DELETE /api/v1/selector-policies/{policy}", 8, is_admins=True),
    Call("POST /api/v1/nodes/join-tokens", 12, body={"name": "web2"}, has_token=True),
    Call("POST /api/v1/nodes/{node}/approve", 8, has_token=True),
    Call("POST /api/v1/nodes/{node}/revoke", 12, has_token=True),
    Call("POST /api/v1/nodes/{node}/rotate", 8, has_token=True),
    Call("POST /api/v1/nodes/{node}/services", 8, body={"services": []}, has_token=True),
    Call(
        "POST /api/v1/agent/services/register",
        24,
        body={"service_name": SHOP, "service_url": URL, "instance_id": "default"},
        is_nodes=True,
    ),
    Call(
        "POST /api/v1/agent/services/{name}/heartbeat",
        7,
        body={"instance_id": "default"},
        is_nodes=True,
    ),
    Call("DELETE /api/v1/agent/services/{name}", 20, query="instance_id=default", is_nodes=True),
    Call("POST /api/v1/agent/join", 30, body={"join_token": JOIN_TOKEN}),
    Call("POST /api/v1/agent/poll", 6, is_nodes=True),
    Call("POST /api/v1/agent/token", 12, is_nodes=True),
    Call("POST /api/v1/agent/orders/{order_id}", 5, is_nodes=True),
    Call("POST /api/v1/agent/orders/{order_id}/outcome", 5, body={"kind": "failed"}, is_nodes=True),
    Call(
        "POST /api/v1/artifacts",
        8,
        body={"service_name": SHOP, "sha256": "c" * 64, "size": 1, "name": "x.tar"},
    ),
    Call("PUT /api/v1/artifacts/{upload_id}", 3, query="offset=0", body=b"x"),
    Call("DELETE /api/v1/artifacts/{upload_id}", 13),
    Call("POST /api/v1/sources", 15, body={"service_name": SHOP, "kind": "announced"}),
    Call("PATCH /api/v1/sources/{source_id}", 15, body={"is_enabled": False}),
    Call("DELETE /api/v1/sources/{source_id}", 15),
    Call("POST /api/v1/sources/{source_id}/check", 15),
    Call("POST /api/v1/releases/{release_id}/quarantine", 15, body={"reason": "x"}),
    Call("POST /api/v1/releases/{release_id}/withdraw", 15, body={"reason": "x"}),
    Call("POST /api/v1/releases/{quarantined_id}/release", 15),
    Call("POST /api/v1/skips", 8, body={"service_name": SHOP, "version": "1"}),
    Call("PATCH /api/v1/skips/{hold_id}", 9, body={"reason": "x"}),
    Call("DELETE /api/v1/skips/{hold_id}", 8),
    Call("POST /api/v1/targets", 13, body={"service_name": SHOP, "name": "x"}, has_token=True),
    Call("PATCH /api/v1/targets/{target_id}", 14, body={"zone": "x"}, has_token=True),
    Call("DELETE /api/v1/targets/{target_id}", 15, has_token=True),
    Call("POST /api/v1/targets/{idle_target_id}/stop", 13, has_token=True),
    Call(
        "POST /api/v1/credentials",
        13,
        body={"service_name": SHOP, "host": "new.example", "secret": "x"},
        has_token=True,
    ),
    Call("PATCH /api/v1/credentials/{credential_id}", 13, body={"secret": "y"}, has_token=True),
    Call("DELETE /api/v1/credentials/{credential_id}", 14, has_token=True),
    Call(
        "POST /api/v1/windows", 8, body={"name": "x", "opens_at": "22:00", "duration_minutes": 60}
    ),
    Call("POST /api/v1/checks", 13, body={"name": "x", "service_name": SHOP}),
    Call("PATCH /api/v1/checks/{check_id}", 15, body={"name": "x"}),
    Call("DELETE /api/v1/checks/{check_id}", 13),
    Call(
        "POST /api/v1/notification-rules",
        8,
        body={"name": "x", "event_types": ["*"], "channels": ["pager"]},
    ),
    Call("PATCH /api/v1/notification-rules/{rule_id}", 10, body={"name": "x"}),
    Call("DELETE /api/v1/notification-rules/{rule_id}", 12),
    Call("PATCH /api/v1/windows/{window_id}", 9, body={"name": "x"}),
    Call("DELETE /api/v1/windows/{window_id}", 8),
    Call(
        "POST /api/v1/freezes",
        8,
        body={"name": "x", "starts_on": "2030-01-01", "ends_on": "2030-01-02"},
    ),
    Call("PATCH /api/v1/freezes/{freeze_id}", 9, body={"name": "x"}),
    Call("DELETE /api/v1/freezes/{freeze_id}", 8),
    Call("DELETE /api/v1/registry/register", 16, body={"slug": "slug-0"}),
    Call("POST /api/v1/protection", 3, body={"decision": "hold"}),
    Call("POST /api/v1/registry/heartbeat", 8, body={"slug": "slug-0"}),
    Call(
        "POST /api/v1/registry/register",
        12,
        body={"slug": "slug-x", "name": "x", "version": "1", "base_url": URL},
    ),
    Call(
        "PUT /api/v1/registry/register",
        17,
        body={"slug": "slug-0", "name": "x", "version": "2", "base_url": URL},
    ),
    Call("DELETE /api/v1/services/{name}", 10, query="instance_id=default"),
    Call("POST /api/v1/services/{name}/heartbeat", 0),
    Call(
        "POST /api/v1/services/heartbeat",
        0,
        body={"services": [f"service-{number}" for number in range(FEW)]},
    ),
    Call(
        "POST /api/v1/services/register",
        10,
        body={"service_name": "new", "service_url": URL, "capabilities": ["rest"]},
    ),
    Call(
        "POST /api/v1/subscriptions", 6, body={"service_name": SHOP, "subscriber": "another shop"}
    ),
    Call("DELETE /api/v1/subscriptions/{subscription_id}", 7),
    Call("PATCH /api/v1/subscriptions/{subscription_id}", 9, body={"accepted": True}),
    Call("POST /api/v1/updates/jobs/{job_id}/{verb}", 12, verb="pause"),
    Call("POST /api/v1/webhooks/check-updates", 11, body={"service_name": SHOP}),
    Call(
        "POST /api/v1/webhooks/config",
        15,
        body={"service_name": SHOP, "secret": "a new secret of webhooks"},
    ),
    Call(
        "POST /api/v1/webhooks/deploy",
        31,
        body={"service_name": "fresh", "version": "9.9.9", "artifact_url": ARTIFACT},
    ),
    Call(
        "POST /api/v1/webhooks/from/{sender}/{name}",
        25,
        body={"object_kind": "release", "action": "create", "tag": "v9.9.9"},
    ),
    Call("POST /api/v1/webhooks/health", 15, body={"service_name": SHOP, "status": "degraded"}),
    Call("POST /api/v1/webhooks/slack", 3, body={"payload": "{}"}),  # refused: it has no signature
    Call("POST /api/v1/webhooks/lifecycle", 9, body={"service_name": SHOP, "event": "crashed"}),
    Call(
        "POST /api/v1/webhooks/notify",
        17,
        body={"service_name": SHOP, "channel": "pager", "message": "hello"},
    ),
    Call(
        "POST /api/v1/webhooks/rollback", 30, body={"service_name": "service-1", "version": "2.1.0"}
    ),
    Call(
        "POST /api/v1/webhooks/update",
        20,
        body={"service_name": SHOP, "version": "9.9.9", "artifact_url": ARTIFACT},
    ),
]


def _grow(start: int, stop: int, *, pager: str) -> None:
    """Add services to the world, and more of everything that belongs to the first of them."""
    with TestCase.captureOnCommitCallbacks(execute=True):
        for number in range(start, stop):
            _add(number, pager=pager)


def _add(number: int, *, pager: str) -> None:
    now, name = timezone.now(), f"service-{number}"
    registration = registry_operations.Registration(
        service_name=name, url=URL, version="1.0.0", capabilities=["rest"]
    )
    registry_operations.register(registration, by=None, now=now)
    service, shop = Service.objects.get(name=name), Service.objects.get(name=SHOP)
    factories.SubscriptionFactory.create(service=shop, subscriber=name, topics=["update.*"])
    factories.ReleaseFactory.create(service=shop, version=f"1.{number}.0")
    factories.ReleaseFactory.create(service=service, version=f"2.{number}.0")
    factories.HistoryEntryFactory.create(service_name=SHOP, timestamp=now)
    factories.HistoryEntryFactory.create(
        service_name=name, timestamp=now, old_version=f"2.{number}.0"
    )
    _add_configured(service)
    webhooks.operations.configure(
        name, endpoints={f"channel-{number}": URL, "pager": pager}, secret=None, now=now
    )
    if number != 1:
        updates.operations.deploy(
            service, updates.operations.Announcement(version=f"2.{number}.0"), by="ci"
        )


def _add_configured(service: Service) -> None:
    release = factories.ReleaseFactory.create(service=service, version="3.0.0")
    Approval.objects.create(service=service, release=release, requested_at=timezone.now())
    factories.ReleaseFactory.create(service=service, version="0.0.1", state="quarantined")
    if service.name != SHOP:
        factories.SourceFactory.create(service=service)
    factories.PolicyFactory.create(service=service, kind="manual")
    SelectorPolicy.objects.create(name=f"by-label-{service.pk}", selector="env=prod")
    factories.DeliveryFactory.create(service_name=service.name, status=Delivery.Status.DEAD)
    factories.InboundCallFactory.create(service_name=service.name)
    rule = factories.NotificationRuleFactory.create(service=service)
    factories.ReceiverFactory.create(service_name=service.name, url=f"{URL}/{service.name}")
    factories.AlertFactory.create(rule=rule, service_name=service.name)
    GitHubHook.objects.create(repository=f"a/{service.name}", hook_id=1)
    # The deployments of this world begin before it, so that nothing is in their way.
    Hold.objects.create(service=service, version="0.1")
    HealthCheck.objects.create(service=service, name="answers")
    Target.objects.create(service=service, name="default", is_automatic=True)
    _add_node(f"web{service.pk}" if service.name != SHOP else "web1")
    upload = factories.UploadFactory.create(service=service)
    UploadChunk.objects.create(upload=upload, position=0, data=b"x")
    Credential.objects.create(
        service=service, host="packages.example", sealed_secret=crypto.encrypt("s3cret")
    )
    MaintenanceWindow.objects.create(
        service=service, name="n", opens_at=dt.time(22), duration_minutes=60, is_enabled=False
    )
    Freeze.objects.create(
        service=service, name="n", starts_on=dt.date(2020, 1, 1), ends_on=dt.date(2020, 1, 2)
    )


def _add_node(name: str) -> None:
    account = accounts.ensure_account(f"node.{name}", scopes=["nodes:work", "artifacts:read"])
    node = Node.objects.create(name=name, account=account, joined_at=timezone.now())
    NodeOrder.objects.create(
        node=node, subject="shop/web", created_at=timezone.now(), expires_at=timezone.now()
    )
    JoinToken.objects.get_or_create(
        digest=accounts.digest_of(JOIN_TOKEN),
        defaults={
            "node_name": "web9",
            "created_at": timezone.now(),
            "expires_at": timezone.now() + dt.timedelta(hours=1),
        },
    )


def _add_slug(api: APIClient, headers: dict[str, str]) -> None:
    body = {"slug": "slug-0", "name": "x", "version": "1", "base_url": URL}
    response = api.post("/api/v1/registry/register", body, format="json", headers=headers)
    assert response.status_code == 201, response.content


def _hold_back(member: str) -> None:
    """Record that the last sweep did not expire this instance."""
    seen = presence.Overdue(now_us=1, total=30, due={member: 0}, holds={}, is_anyone_receiving=True)
    protection.note(seen, [member])


@pytest.fixture
def pager(httpserver: HTTPServer) -> str:
    httpserver.expect_request("/hook").respond_with_data("")
    return str(httpserver.url_for("/hook"))


@pytest.fixture
def headers() -> dict[str, str]:
    return _bearer("ci", SCOPES)


def _bearer(name: str, scopes: list[str]) -> dict[str, str]:
    account = accounts.ensure_account(name, scopes=scopes, is_internal=True)
    token, text = accounts.issue_token(account, scopes=scopes)
    Token.objects.filter(pk=token.pk).update(last_used_at=timezone.now())  # noted once a minute
    return {"Authorization": f"Bearer {text}"}


def _ids_of_configured() -> dict[str, int]:
    kinds: dict[str, Any] = {
        "hold_id": Hold,
        "check_id": HealthCheck,
        "target_id": Target,
        "credential_id": Credential,
        "window_id": MaintenanceWindow,
        "freeze_id": Freeze,
        "approval_id": Approval,
        "channel_id": Endpoint,
        "rule_id": NotificationRule,
        "alert_id": Alert,
        "receiver_id": Receiver,
        "source_id": Source,
        "upload_id": Upload,
        "release_id": Release,
        "hook_id": GitHubHook,
        "entry_id": HistoryEntry,
    }
    found = {name: kind.objects.order_by("pk").first().pk for name, kind in kinds.items()}
    quarantined = Release.objects.filter(state=Release.State.QUARANTINED).order_by("pk")
    idle = Target.objects.get(service__name="service-1")  # which has no job
    return {
        **found,
        "quarantined_id": quarantined.values_list("pk", flat=True)[0],
        "idle_target_id": idle.pk,
    }


def _queries(api: APIClient, call: Call, headers: dict[str, str]) -> list[str]:
    method, _, path = call.route.partition(" ")
    path = path.format(
        name=SHOP,
        format="csv",
        sender="gitlab",
        verb=call.verb,
        node="web1",
        order_id=NodeOrder.objects.values_list("pk", flat=True).first(),
        account="ci",
        policy=SelectorPolicy.objects.order_by("pk").values_list("name", flat=True).first(),
        username=User.objects.get_or_create(username="guest")[0].username,
        sequence=1,
        delivery_id=Delivery.objects.filter(status="dead").values_list("pk", flat=True).first(),
        call_id=InboundCall.objects.values_list("pk", flat=True).first(),
        token_id=Token.objects.filter(account__name="ci").values_list("pk", flat=True).first(),
        job_id=Job.objects.filter(service__name=SHOP).values_list("job_id", flat=True).first(),
        **_ids_of_configured(),
        subscription_id=Subscription.objects.order_by("pk").values_list("pk", flat=True)[0],
    )
    is_scaicontrol = path.startswith("/api/v1/registry/")
    if "/agent/services/" in call.route:
        Node.objects.filter(name="web1").update(status=Node.Status.APPROVED)
        Target.objects.filter(service__name=SHOP).update(node="web1", instance_id="default")
    if call.is_nodes:
        headers = _bearer("node.web1", ["nodes:work"])
    if call.is_admins:
        headers = _bearer("chief", [accounts.ADMIN_SCOPE])
    with (
        CaptureQueriesContext(connection) as queries,
        TestCase.captureOnCommitCallbacks(execute=True),
    ):
        body: Any = call.body if isinstance(call.body, bytes) else json.dumps(call.body)
        response = api.generic(
            method,
            f"{path}?{call.query}",
            body,
            content_type="application/json",
            headers=headers
            if is_scaicontrol or call.has_token or call.is_admins or call.is_nodes
            else {},
        )
        response.getvalue()
    # No sweeps run beside this test: after half a minute /health says so.
    is_silent = (path, response.status_code) == ("/api/v1/health", 503)
    is_unsigned = (path, response.status_code) == ("/api/v1/webhooks/slack", 401)
    assert 200 <= response.status_code < 300 or is_silent or is_unsigned, response.getvalue()
    asked = [each["sql"] for each in queries]
    return [sql for sql in asked if not sql.startswith(("SAVEPOINT", "RELEASE"))]


def test_reads_ask_as_often_among_many_as_among_few(
    api: APIClient, pager: str, headers: dict[str, str]
) -> None:
    _grow(0, FEW, pager=pager)
    among_few = [len(_queries(api, call, headers)) for call in READS]
    _grow(FEW, MANY, pager=pager)

    among_many = [len(_queries(api, call, headers)) for call in READS]

    assert dict(zip(READS, among_many, strict=True)) == dict(zip(READS, among_few, strict=True))
    assert [
        (call, count) for call, count in zip(READS, among_few, strict=True) if count > call.most
    ] == []


@pytest.mark.parametrize("call", WRITES, ids=lambda call: call.route)
def test_a_write_asks_a_bounded_number_of_queries(
    call: Call, api: APIClient, pager: str, headers: dict[str, str]
) -> None:
    _grow(0, FEW, pager=pager)
    _add_slug(api, headers)
    _hold_back(f"{SHOP}/default")

    asked = _queries(api, call, headers)

    assert len(asked) <= call.most, asked


def test_every_route_is_among_them() -> None:
    measured = {
        (spelled(path), method.lower())
        for method, _, path in (call.route.partition(" ") for call in [*READS, *WRITES])
    }

    assert measured == {(spelled(path), method) for path, method, _ in operations()}
