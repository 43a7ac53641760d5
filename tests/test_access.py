"""Every route by every caller on every object, against one declared table.

A route that is not in the table fails ``test_every_route_is_in_the_table``: add its scope there.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import transaction
from django.test import TestCase
from django.utils import timezone
from pytest_django import Settings
from rest_framework.test import APIClient

import registry.operations
import webhooks.operations
from registry.identity import accounts
from registry.identity.accounts import Caller
from registry.models import HealthCheck, Service, ServiceAccount, Subscription, Token
from saga_project.shared import crypto, rate_limits
from tests import factories
from tests.test_schema import operations, spelled
from updates.models import (
    Approval,
    Credential,
    Freeze,
    Hold,
    Job,
    MaintenanceWindow,
    Node,
    SelectorPolicy,
    Source,
    Target,
)
from webhooks.models import Delivery, GitHubHook, InboundCall

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis")]

URL = "http://localhost:9000"
ARTIFACT = "https://ci.example/9.9.9.tar.gz"
OWNED, UNOWNED, GLOBAL = "owned", "unowned", "global"
SERVICES = (OWNED, UNOWNED)
UNAUTHENTICATED, FORBIDDEN, HIDDEN, ALLOWED = "unauthenticated", "forbidden", "hidden", "allowed"
DECISIONS = {401: UNAUTHENTICATED, 403: FORBIDDEN, 404: HIDDEN}


@pytest.fixture(autouse=True)
def no_guesses_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bad tokens of other tests do not count: on a quick machine they bar this address."""
    unbarred = rate_limits.Buckets(
        per_second=rate_limits.GUESSES_PER_SECOND, burst=rate_limits.GUESSES_BURST
    )
    monkeypatch.setattr(rate_limits, "_guesses", unbarred)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Access:
    """Which scope a route takes, and what it decides for a caller that does not own the object.

    ``ended`` is the decision about a token that expired or was revoked.
    ``objects`` are those that it acts on; ``{object}`` in ``query`` and ``body`` is the service's name.
    """

    scope: str | None
    others: str = ALLOWED
    ended: str = UNAUTHENTICATED
    #: Further scopes that the effect takes.
    also: tuple[str, ...] = ()
    #: Any token will do.
    takes_any_token: bool = False
    #: A signature stands in for a token: without one, each caller is refused.
    is_signed: bool = False
    objects: tuple[str, ...] = (UNOWNED,)
    #: Only the account of a node passes, also among those with the scope.
    is_nodes: bool = False
    query: str = ""
    body: dict[str, Any] | None = None


def reads(scope: str | None, query: str = "") -> Access:
    """Return the access of a route that shows the same to every caller with the scope."""
    return Access(scope=scope, query=query)


def changes(scope: str, **body: Any) -> Access:
    """Return the access of a route that changes a service: its owner's, and any caller's without one."""
    return Access(scope=scope, others=FORBIDDEN, objects=SERVICES, body=body)


NAMED = {"service_name": "{object}"}
PROFILE = {"slug": "{object}", "name": "x", "version": "2", "base_url": URL}
RELEASE = {"version": "9.9.9", "artifact_url": ARTIFACT}
ACCESS: dict[str, Access] = {
    "GET /api/v1/health": Access(scope=None, ended=ALLOWED),
    "GET /api/v1/schema": reads(None),
    "GET /api/v1/docs": reads(None),
    "GET /api/v1/me": Access(scope=None, takes_any_token=True),
    "GET /api/v1/apply/schema": reads(None),
    "POST /api/v1/apply": Access(
        scope="admin:registry", others=FORBIDDEN, body={"managed_by": "x"}
    ),
    "GET /api/v1/export": Access(scope="admin:registry", others=FORBIDDEN),
    "GET /api/v1/accounts": Access(scope="admin:registry", others=FORBIDDEN),
    "POST /api/v1/accounts": Access(scope="admin:registry", others=FORBIDDEN, body={"name": "new"}),
    "GET /api/v1/accounts/{}": Access(scope="admin:registry", others=FORBIDDEN),
    "PATCH /api/v1/accounts/{}": Access(scope="admin:registry", others=FORBIDDEN),
    "GET /api/v1/tokens": reads("tokens:write"),
    "POST /api/v1/tokens": Access(
        scope="tokens:write",
        others=FORBIDDEN,
        objects=(OWNED,),
        body={"account": "owner", "scopes": ["tokens:write"]},
    ),
    "GET /api/v1/tokens/{}": Access(scope="tokens:write", others=HIDDEN, objects=(OWNED,)),
    "DELETE /api/v1/tokens/{}": Access(scope="tokens:write", others=HIDDEN, objects=(OWNED,)),
    "GET /api/v1/me/tokens": reads("tokens:write"),
    "POST /api/v1/me/tokens": Access(scope="tokens:write", body={"scopes": ["tokens:write"]}),
    "GET /api/v1/me/tokens/{}": Access(scope="tokens:write", others=HIDDEN, objects=(OWNED,)),
    "DELETE /api/v1/me/tokens/{}": Access(scope="tokens:write", others=HIDDEN, objects=(OWNED,)),
    "DELETE /api/v1/people/{}/second-factor": Access(scope="admin:registry", others=FORBIDDEN),
    "GET /api/v1/audit": reads("audit:read"),
    "GET /api/v1/audit/{}": reads("audit:read"),
    "GET /api/v1/audit/verify": reads("audit:read"),
    "GET /api/v1/audit/export/{}": reads("audit:read"),
    "GET /api/v1/deliveries": reads("webhooks:manage"),
    "GET /api/v1/deliveries/{}": Access(scope="webhooks:manage", others=HIDDEN, objects=SERVICES),
    "POST /api/v1/deliveries/{}/replay": Access(
        scope="webhooks:manage", others=HIDDEN, objects=SERVICES
    ),
    "POST /api/v1/deliveries/replay": reads("webhooks:manage"),
    "GET /api/v1/inbound-calls": reads("webhooks:manage"),
    "GET /api/v1/inbound-calls/{}": Access(
        scope="webhooks:manage", others=HIDDEN, objects=SERVICES
    ),
    # A lifecycle call's own route takes a second scope.
    "POST /api/v1/inbound-calls/{}/replay": Access(
        scope="webhooks:manage", also=("webhooks:send",), others=HIDDEN, objects=SERVICES
    ),
    "GET /api/v1/services/{}/approval": reads("services:read"),
    "GET /api/v1/services/{}/maintenance": reads("services:read"),
    "PUT /api/v1/services/{}/maintenance": changes("registry:manage"),
    "DELETE /api/v1/services/{}/maintenance": Access(
        scope="registry:manage", others=FORBIDDEN, objects=SERVICES
    ),
    "GET /api/v1/services/{}/labels": reads("services:read"),
    "PUT /api/v1/services/{}/labels": Access(
        scope="labels:write", others=FORBIDDEN, objects=SERVICES, body={"labels": {}}
    ),
    "PATCH /api/v1/services/{}/labels": Access(
        scope="labels:write", others=FORBIDDEN, objects=SERVICES, body={"labels": {}}
    ),
    "GET /api/v1/services/{}/uptime": reads("services:read"),
    # No account decides about its own service, so that the scope alone decides here.
    "POST /api/v1/services/{}/approval": Access(
        scope="approvals:decide", body={"decision": "reject", "reason": "no"}
    ),
    "GET /api/v1/approvals": reads("approvals:decide"),
    "GET /api/v1/approvals/{}": reads("approvals:decide"),
    # The second person is another than the owner, so that the scope alone decides.
    "POST /api/v1/approvals/{}/approve": Access(scope="approvals:decide", objects=SERVICES),
    "POST /api/v1/approvals/{}/reject": Access(
        scope="approvals:decide", objects=SERVICES, body={"reason": "no"}
    ),
    "GET /api/v1/discovery/prometheus": reads("services:read"),
    "GET /api/v1/events": reads("services:read"),
    "GET /api/v1/events/stream": reads("services:read"),
    "GET /api/v1/protection": reads("services:read"),
    "POST /api/v1/protection": Access(
        scope="admin:registry", others=FORBIDDEN, body={"decision": "hold"}
    ),
    "GET /api/v1/services": reads("services:read"),
    "GET /api/v1/services/{}": reads("services:read"),
    "GET /api/v1/services/{}/instances": reads("services:read"),
    "GET /api/v1/services/{}/resolve": reads("services:read"),
    "POST /api/v1/services/register": changes("registry:manage", **NAMED, service_url=URL),
    "POST /api/v1/services/heartbeat": changes("registry:manage", services=["{object}"]),
    "POST /api/v1/services/{}/heartbeat": changes("registry:manage"),
    "DELETE /api/v1/services/{}": changes("registry:manage"),
    "POST /api/v1/registry/register": changes("registry:manage", **PROFILE),
    "PUT /api/v1/registry/register": changes("registry:manage", **PROFILE),
    "POST /api/v1/registry/heartbeat": changes("registry:manage", slug="{object}"),
    "DELETE /api/v1/registry/register": changes("registry:manage", slug="{object}"),
    "GET /api/v1/subscriptions": reads("services:read"),
    "POST /api/v1/subscriptions": Access(
        scope="registry:manage", objects=SERVICES, body={**NAMED, "subscriber": "x"}
    ),
    "GET /api/v1/subscriptions/{}": Access(scope="services:read", others=HIDDEN, objects=SERVICES),
    "PATCH /api/v1/subscriptions/{}": Access(
        scope="registry:manage", others=HIDDEN, objects=SERVICES, body={"accepted": True}
    ),
    "DELETE /api/v1/subscriptions/{}": Access(
        scope="registry:manage", others=FORBIDDEN, objects=SERVICES
    ),
    "GET /api/v1/sources": reads("updates:read"),
    "POST /api/v1/sources": changes("sources:write", **NAMED, kind="announced"),
    "GET /api/v1/sources/{}": reads("updates:read"),
    "PATCH /api/v1/sources/{}": changes("sources:write", is_enabled=False),
    "DELETE /api/v1/sources/{}": changes("sources:write"),
    "POST /api/v1/sources/{}/check": changes("sources:write"),
    "GET /api/v1/nodes": reads("updates:read"),
    "GET /api/v1/nodes/{}": reads("updates:read"),
    "POST /api/v1/nodes/join-tokens": Access(scope="nodes:write", body={"name": "web2"}),
    "POST /api/v1/nodes/{}/approve": Access(scope="nodes:write"),
    "POST /api/v1/nodes/{}/revoke": Access(scope="nodes:write"),
    "POST /api/v1/nodes/{}/rotate": Access(scope="nodes:write"),
    # Which services it names decides further: tests/updates/api/test_node_services.py.
    "POST /api/v1/nodes/{}/services": Access(scope="nodes:write", body={"services": []}),
    # A join token is needed, and no scope replaces it.
    "POST /api/v1/agent/join": Access(scope=None, body={"any": "thing"}),
    **{
        f"POST /api/v1/agent/{place}": Access(scope="nodes:work", is_nodes=True)
        for place in (
            *("poll", "token", "orders/{}", "orders/{}/outcome"),
            *("services/register", "services/{}/heartbeat"),
        )
    },
    "DELETE /api/v1/agent/services/{}": Access(scope="nodes:work", is_nodes=True),
    "GET /api/v1/artifacts": reads("artifacts:read"),
    "POST /api/v1/artifacts": changes(
        "artifacts:write", **NAMED, sha256="b" * 64, size=9, name="x.tar"
    ),
    "GET /api/v1/artifacts/{}": Access(scope="artifacts:read", others=HIDDEN, objects=SERVICES),
    "PUT /api/v1/artifacts/{}": changes("artifacts:write", any="bytes"),
    "DELETE /api/v1/artifacts/{}": changes("artifacts:write"),
    "GET /api/v1/artifacts/{}/content": Access(
        scope="artifacts:read", others=HIDDEN, objects=SERVICES
    ),
    "GET /api/v1/releases": reads("updates:read"),
    "GET /api/v1/releases/{}": reads("updates:read"),
    "POST /api/v1/releases/{}/quarantine": changes("updates:deploy", reason="broken"),
    "POST /api/v1/releases/{}/withdraw": changes("updates:deploy", reason="broken"),
    "POST /api/v1/releases/{}/release": changes("updates:deploy"),
    "POST /api/v1/targets/{}/stop": Access(scope="targets:write", others=HIDDEN, objects=SERVICES),
    "GET /api/v1/services/{}/notes": reads("services:read"),
    "PATCH /api/v1/services/{}/notes": changes("registry:manage", notes="call Ann"),
    "GET /api/v1/history-entries": reads("updates:read"),
    "GET /api/v1/history-entries/{}": reads("updates:read"),
    "POST /api/v1/history-entries/{}/correct": Access(
        scope="admin:registry", others=FORBIDDEN, body={"status": "failed", "reason": "it did"}
    ),
    "GET /api/v1/selector-policies": reads("updates:read"),
    "GET /api/v1/selector-policies/{}": reads("updates:read"),
    "POST /api/v1/selector-policies": Access(
        scope="policies:write",
        others=FORBIDDEN,
        objects=(GLOBAL,),
        body={"name": "new", "selector": "env=test"},
    ),
    "PATCH /api/v1/selector-policies/{}": Access(
        scope="policies:write", others=FORBIDDEN, objects=(GLOBAL,), body={"kind": "auto"}
    ),
    "DELETE /api/v1/selector-policies/{}": Access(
        scope="policies:write", others=FORBIDDEN, objects=(GLOBAL,)
    ),
    "GET /api/v1/github-hooks": reads("webhooks:manage"),
    "GET /api/v1/github-hooks/{}": reads("webhooks:manage"),
    "POST /api/v1/github-hooks": Access(
        scope="webhooks:manage",
        others=FORBIDDEN,
        objects=(GLOBAL,),
        body={"repository": "x/y", "hook_id": 1},
    ),
    "PATCH /api/v1/github-hooks/{}": Access(
        scope="webhooks:manage", others=FORBIDDEN, objects=(GLOBAL,), body={"is_enabled": False}
    ),
    "DELETE /api/v1/github-hooks/{}": Access(
        scope="webhooks:manage", others=FORBIDDEN, objects=(GLOBAL,)
    ),
    "GET /api/v1/updates/history": reads("updates:read"),
    "GET /api/v1/updates/history/{}": reads("updates:read"),
    "GET /api/v1/updates/history/export/{}": reads("updates:read"),
    "GET /api/v1/updates/history/{}/export/{}": reads("updates:read"),
    "GET /api/v1/updates/jobs": reads("updates:read"),
    "GET /api/v1/updates/jobs/{}": reads("updates:read"),
    "GET /api/v1/updates/plan": reads("updates:read", "service={object}"),
    "GET /api/v1/updates/statistics": reads("updates:read"),
    "GET /api/v1/updates/statistics/dora": reads("updates:read"),
    "POST /api/v1/updates/jobs/{}/{}": changes("updates:deploy"),
    "POST /api/v1/webhooks/update": changes("updates:deploy", **NAMED, **RELEASE),
    "POST /api/v1/webhooks/check-updates": changes("updates:deploy", **NAMED),
    "POST /api/v1/webhooks/deploy": changes("updates:deploy", **NAMED, **RELEASE),
    "POST /api/v1/webhooks/rollback": changes("updates:deploy", **NAMED, version="0.9.0"),
    "POST /api/v1/webhooks/health": changes("webhooks:send", **NAMED, status="healthy"),
    "POST /api/v1/webhooks/lifecycle": changes("webhooks:send", **NAMED, event="crashed"),
    "POST /api/v1/webhooks/notify": changes(
        "webhooks:send", **NAMED, channel="none", message="hello"
    ),
    "POST /api/v1/webhooks/from/{}/{}": changes("updates:deploy", ref="refs/tags/v1"),
    "POST /api/v1/webhooks/slack": Access(scope=None, is_signed=True, body={"payload": "{}"}),
    "GET /api/v1/alerts": reads("webhooks:manage"),
    "GET /api/v1/alerts/{}": Access(scope="webhooks:manage", others=HIDDEN, objects=SERVICES),
    "POST /api/v1/alerts/{}/acknowledge": Access(
        scope="webhooks:manage", others=HIDDEN, objects=SERVICES
    ),
    "GET /api/v1/notification-rules": reads("webhooks:manage"),
    "POST /api/v1/notification-rules": changes(
        "rules:write", **NAMED, name="x", event_types=["*"], channels=["pager"]
    ),
    "GET /api/v1/notification-rules/{}": reads("webhooks:manage"),
    "PATCH /api/v1/notification-rules/{}": changes("rules:write", name="y"),
    "DELETE /api/v1/notification-rules/{}": changes("rules:write"),
    "GET /api/v1/receivers": reads("webhooks:manage"),
    "GET /api/v1/receivers/{}": Access(scope="webhooks:manage", others=HIDDEN, objects=SERVICES),
    "POST /api/v1/receivers/{}/resume": Access(
        scope="webhooks:manage", others=HIDDEN, objects=SERVICES
    ),
    "GET /api/v1/channels": reads("webhooks:manage"),
    "GET /api/v1/channels/{}": reads("webhooks:manage"),
    "POST /api/v1/channels/{}/test": changes("webhooks:manage"),
    "POST /api/v1/channels": changes("webhooks:manage", **NAMED, channel="ops", url=URL),
    "PATCH /api/v1/channels/{}": changes("webhooks:manage", url=URL),
    "DELETE /api/v1/channels/{}": changes("webhooks:manage"),
    "GET /api/v1/webhooks/config": Access(
        scope="webhooks:manage", objects=SERVICES, query="service_name={object}"
    ),
    "POST /api/v1/webhooks/config": changes(
        "webhooks:manage", **NAMED, secret="a secret of sixteen bytes"
    ),
}

for _plural, _scope, _new in (
    ("checks", "checks:write", {"name": "x"}),
    ("policies", "policies:write", {}),
    ("skips", "policies:write", {"version": "1.0"}),
    ("windows", "calendar:write", {"name": "x", "opens_at": "22:00", "duration_minutes": 60}),
    (
        "freezes",
        "calendar:write",
        {"name": "x", "starts_on": "2030-01-01", "ends_on": "2030-01-02"},
    ),
    ("targets", "targets:write", {"name": "x"}),
    ("credentials", "targets:write", {"host": "new.example", "secret": "s3cret"}),
):
    _is_hidden = _plural in ("targets", "credentials")
    _others = HIDDEN if _is_hidden else FORBIDDEN
    _read = "services:read" if _plural == "checks" else "updates:read"
    ACCESS |= {
        f"GET /api/v1/{_plural}": reads(_read),
        f"POST /api/v1/{_plural}": changes(_scope, **NAMED, **_new),
        f"GET /api/v1/{_plural}/{{}}": reads(_read)
        if not _is_hidden
        else Access(scope="updates:read", others=HIDDEN, objects=SERVICES),
        f"PATCH /api/v1/{_plural}/{{}}": Access(scope=_scope, others=_others, objects=SERVICES),
        f"DELETE /api/v1/{_plural}/{{}}": Access(scope=_scope, others=_others, objects=SERVICES),
    }
#: What no account owns is the administrators' where it concerns every service.
GLOBAL_ACCESS: dict[str, Access] = {
    "GET /api/v1/webhooks/config": Access(scope="webhooks:manage", objects=(GLOBAL,)),
    "POST /api/v1/webhooks/config": Access(
        scope="webhooks:manage",
        others=FORBIDDEN,
        objects=(GLOBAL,),
        body={"secret": "a secret of sixteen bytes"},
    ),
    "POST /api/v1/windows": Access(
        scope="calendar:write",
        others=FORBIDDEN,
        objects=(GLOBAL,),
        body={"name": "x", "opens_at": "22:00", "duration_minutes": 60},
    ),
    "PATCH /api/v1/windows/{}": Access(
        scope="calendar:write", others=FORBIDDEN, objects=(GLOBAL,), body={"name": "y"}
    ),
    "DELETE /api/v1/freezes/{}": Access(
        scope="calendar:write", others=FORBIDDEN, objects=(GLOBAL,)
    ),
}
GLOBAL_ACCESS["PATCH /api/v1/notification-rules/{}"] = Access(
    scope="rules:write", others=FORBIDDEN, objects=(GLOBAL,), body={"name": "y"}
)
ROWS = [*ACCESS.items(), *GLOBAL_ACCESS.items()]

#: Every caller, by the name under which ``expected`` decides about it.
CALLERS = ("anonymous", "expired", "revoked", "lacking", "owner", "other", "admin")


def test_every_route_is_in_the_table() -> None:
    routes = {f"{method.upper()} {spelled(path)}" for path, method, _ in operations()}

    assert routes == set(ACCESS)


def test_each_row_names_the_scope_that_its_view_asks_for() -> None:
    asked = {
        f"{method.upper()} {spelled(path)}": view.required_scopes.get(method.upper())
        for path, method, view in operations()
    }

    assert {route: access.scope for route, access in ACCESS.items()} == asked


def expected(access: Access, caller: str, kind: str) -> str:
    if access.is_signed:
        return UNAUTHENTICATED
    if caller in ("expired", "revoked"):
        return access.ended
    if access.scope is None:
        is_refused = caller == "anonymous" and access.takes_any_token
        return UNAUTHENTICATED if is_refused else ALLOWED
    if caller == "anonymous":
        return UNAUTHENTICATED
    if caller == "lacking":
        return FORBIDDEN
    if access.is_nodes:
        return FORBIDDEN
    is_owner = caller == "admin" or kind == UNOWNED or (caller == "owner" and kind == OWNED)
    return ALLOWED if is_owner else access.others


# --- The world ------------------------------------------------------------------------------------


def token(name: str, *scopes: str, ends: str = "") -> dict[str, str]:
    account = accounts.ensure_account(name, scopes=scopes)
    past = timezone.now() - dt.timedelta(days=1)
    row, text = accounts.issue_token(
        account, scopes=scopes, expires_at=past if ends == "expired" else None
    )
    if ends == "revoked":
        accounts.revoke_token(row, at=timezone.now())
    return {"Authorization": f"Bearer {text}"}


def headers_of(caller: str, scope: str | None, *also: str) -> dict[str, str]:
    every = [name for name in accounts.SCOPES if name != accounts.ADMIN_SCOPE]
    wanted = [scope, *also] if scope else every
    if caller == "anonymous":
        return {}
    if caller == "lacking":
        return token("owner", *(name for name in every if name not in wanted))
    if caller == "admin":
        return token("admin", accounts.ADMIN_SCOPE)
    account = "other" if caller == "other" else "owner"
    return token(account, *wanted, ends=caller if caller in ("expired", "revoked") else "")


@dataclasses.dataclass(frozen=True)
class World:
    """Rows of one kind of object; ``fill`` puts their names into a route."""

    service: Service
    subscription: Subscription
    job: Job
    approval: Approval
    source: Source
    token: Token
    delivery: Delivery
    call: InboundCall
    rows: dict[str, Any]

    def fill(self, path: str, access: Access) -> str:
        for prefix, value in self._places().items():
            path = path.replace(f"{prefix}{{}}", f"{prefix}{value}", 1)
        query = access.query.replace("{object}", self.service.name)
        return f"{path}?{query}" if query else path

    def _places(self) -> dict[str, Any]:
        return {
            "/services/": self.service.name,
            "/approvals/": str(self.approval.pk),
            "/sources/": str(self.source.pk),
            "/releases/": str(self.job.release_id),
            "/subscriptions/": str(self.subscription.pk),
            "/jobs/": self.job.job_id,
            f"/jobs/{self.job.job_id}/": "pause",
            "/audit/": "1",
            "/audit/export/": "csv",
            "/export/": "json",
            "/nodes/": "web1",
            "/orders/": "00000000-0000-0000-0000-000000000000",
            "/history/": self.service.name,
            "/from/": "github",
            "/from/github/": self.service.name,
            "/policies/": self.service.name,
            "/selector-policies/": "by-label",
            "/accounts/": "owner",
            "/deliveries/": self.delivery.pk,
            "/inbound-calls/": self.call.pk,
            "/tokens/": self.token.pk,
            **{f"/{plural}/": row.pk for plural, row in self.rows.items()},
        }

    def body(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {key: self.body(inner) for key, inner in value.items()}
        if isinstance(value, list):
            return [self.body(inner) for inner in value]
        return self.service.name if value == "{object}" else value


def make(kind: str) -> World:
    owner = accounts.ensure_account("owner", scopes=[])
    account: ServiceAccount | None = owner if kind == OWNED else None
    caller = Caller(account=owner, scopes=frozenset()) if account else None
    registration = registry.operations.Registration(service_name=f"service-{kind}", url=URL)
    with TestCase.captureOnCommitCallbacks(execute=True):
        registry.operations.register(registration, by=caller, now=timezone.now())
    service = Service.objects.get(name=registration.service_name)
    release = factories.ReleaseFactory.create(service=service, version="1.0.0")
    job = Job.objects.create(
        job_id=f"deploy-{kind}",
        kind=Job.Kind.DEPLOY,
        service=service,
        release=release,
        version="1.0.0",
        strategy="rolling",
        status=Job.Status.SUCCEEDED,
        created_at=timezone.now(),
    )
    subscription = factories.SubscriptionFactory.create(service=service, account=account)
    configuration = factories.ConfigurationFactory.create(service=service)
    channel = factories.EndpointFactory.create(configuration=configuration)
    if kind == GLOBAL:
        webhooks.operations.configure(
            "",
            endpoints={"pager": URL},
            secret=webhooks.operations.UNSET,
            by=accounts.staff("root"),
            now=timezone.now(),
        )
    approval = Approval.objects.create(
        service=service, release=release, requested_at=timezone.now()
    )
    source = factories.SourceFactory.create(service=service, kind="announced", location="")
    rows = {**_configured(service, is_global=kind == GLOBAL), "channels": channel}
    rows["github-hooks"] = GitHubHook.objects.create(repository=f"a/{kind}", hook_id=1)
    rows["history-entries"] = factories.HistoryEntryFactory.create(service_name=service.name)
    spare, _ = accounts.issue_token(owner, scopes=[])
    delivery = factories.DeliveryFactory.create(
        service_name=service.name, status=Delivery.Status.DEAD
    )
    sent = factories.InboundCallFactory.create(service_name=service.name)
    return World(service, subscription, job, approval, source, spare, delivery, sent, rows)


def _configured(service: Service, *, is_global: bool) -> dict[str, Any]:
    """Return rows that are configured, of the service or of all services, by the name of their route."""
    of = None if is_global else service
    factories.PolicyFactory.create(service=service)
    SelectorPolicy.objects.get_or_create(name="by-label", selector="env=prod")
    check, target, hold, window, freeze = (
        HealthCheck.objects.create(service=service, url="/up"),
        Target.objects.create(service=service, name="first"),
        Hold.objects.create(service=service, version="0.1"),
        MaintenanceWindow.objects.create(
            service=of, name="nightly", opens_at=dt.time(22), duration_minutes=60, is_enabled=False
        ),
        Freeze.objects.create(
            service=of, name="past", starts_on=dt.date(2020, 1, 1), ends_on=dt.date(2020, 1, 2)
        ),
    )
    credential = Credential.objects.create(
        service=service, host="packages.example", sealed_secret=crypto.encrypt("s3cret")
    )
    rule = factories.NotificationRuleFactory.create(service=of)
    receiver = factories.ReceiverFactory.create(
        service_name=service.name, url=f"http://127.0.0.1:1/{service.name}"
    )
    alert = factories.AlertFactory.create(rule=rule, service_name=service.name)
    Node.objects.get_or_create(
        name="web1",
        defaults={
            "account": accounts.ensure_account("node.web1", scopes=[]),
            "joined_at": timezone.now(),
        },
    )
    upload = factories.UploadFactory.create(service=service)
    return {
        "checks": check,
        "notification-rules": rule,
        "receivers": receiver,
        "alerts": alert,
        "artifacts": upload,
        "credentials": credential,
        "targets": target,
        "skips": hold,
        "windows": window,
        "freezes": freeze,
    }


def decisions(api: APIClient, route: str, access: Access) -> Iterator[tuple[str, str, str, str]]:
    """Yield object, caller, what is expected, and what the route decided."""
    method, _, path = route.partition(" ")
    for kind in access.objects:
        world = make(kind)
        for caller in CALLERS:
            wanted = expected(access, caller, kind)
            before = transaction.savepoint()
            status = call(api, method, world.fill(path, access), world, access, caller)
            transaction.savepoint_rollback(before)  # every caller meets the same rows
            assert status != 429, "too many bad tokens: nothing was decided"
            decided = DECISIONS.get(status, ALLOWED)
            # What is not there is not refused: 404 counts where the caller may see the object.
            yield (
                kind,
                caller,
                wanted,
                wanted if (decided, wanted) == (HIDDEN, ALLOWED) else decided,
            )


def call(api: APIClient, method: str, path: str, world: World, access: Access, caller: str) -> int:
    response = api.generic(
        method,
        path,
        json.dumps(world.body(access.body)) if access.body else "",
        content_type="application/json",
        headers=headers_of(caller, access.scope, *access.also),
    )
    if response.streaming and path.endswith(("/content", "/csv", "/json")):
        b"".join(response)  # an export keeps its place until it has been read
    return int(response.status_code)


@pytest.mark.parametrize(
    ("route", "access"), ROWS, ids=[f"{route} {access.objects[0]}" for route, access in ROWS]
)
def test_a_route_decides_as_the_table_says(
    api: APIClient, settings: Settings, route: str, access: Access
) -> None:
    settings.SAGA_AUTH = "required"

    found = list(decisions(api, route, access))

    wrong = [row for row in found if row[2] != row[3]]
    assert not wrong
