"""The OpenAPI document against the real thing: what it promises is what every route does."""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from django.core.signals import request_finished, request_started
from django.db import close_old_connections
from django.urls import URLPattern, URLResolver, get_resolver
from django.utils import timezone
from drf_spectacular.validation import validate_schema
from hypothesis import HealthCheck, Phase
from hypothesis import settings as bounded
from hypothesis import strategies as st
from pytest_django import Settings
from rest_framework.test import APIClient
from schemathesis.specs.openapi.checks import positive_data_acceptance

from registry.identity import accounts
from saga_project import wsgi
from saga_project.shared import api as shared
from saga_project.shared import rules
from saga_project.shared.api import fields
from saga_project.web import openapi as document
from updates.models import Node

pytestmark = pytest.mark.django_db

EXAMPLES = 5
METHODS = {"get", "post", "put", "delete", "patch"}


@pytest.fixture
def published(api: APIClient) -> dict[str, Any]:
    body: dict[str, Any] = api.get("/api/v1/schema").json()
    return body


def routes() -> Iterator[tuple[str, shared.SagaView]]:
    """Every API route that there is, as the resolver knows it."""

    def walk(patterns: Any, prefix: str) -> Iterator[tuple[str, Any]]:
        for entry in patterns:
            here = prefix + str(entry.pattern)
            if isinstance(entry, URLResolver):
                yield from walk(entry.url_patterns, here)
            elif isinstance(entry, URLPattern):
                yield here, entry.callback

    for path, view in walk(get_resolver().url_patterns, "/"):
        found = shared.view_of(view) if path.startswith("/api/v1/") else None
        if found is not None:
            yield path, found


def operations() -> list[tuple[str, str, shared.SagaView]]:
    return [
        (path, method.lower(), view)
        for path, view in routes()
        for method in view.allowed_methods
        if method.lower() in METHODS
    ]


def spelled(path: str) -> str:
    """A route as OpenAPI writes it, without the names of its parameters."""
    plain = re.sub(r"\(\?P<\w+>[^()]*\)|<[^>]+>|\{[^}]+\}", "{}", path)
    return plain.replace("^", "").replace("$", "").replace("\\", "")


# --- The document ---------------------------------------------------------------------------------


def test_is_valid_openapi(published: dict[str, Any]) -> None:
    assert published["openapi"].startswith("3.1.")
    validate_schema(published)


def test_describes_every_route_and_method(published: dict[str, Any]) -> None:
    described = {
        (spelled(path), method)
        for path, methods in published["paths"].items()
        for method in methods
    }

    assert described == {(spelled(path), method) for path, method, _ in operations()}


def test_names_every_operation_once(published: dict[str, Any]) -> None:
    names = [each["operationId"] for path in published["paths"].values() for each in path.values()]

    assert len(names) == len(set(names))


def test_asks_for_a_token_where_one_is_asked_for(
    published: dict[str, Any], settings: Settings, api: APIClient
) -> None:
    settings.SAGA_AUTH = "required"
    strict = api.get("/api/v1/schema").json()

    for documents, is_free in ((published, True), (strict, False)):
        lookup = documents["paths"]["/api/v1/services/{name}"]["get"]["security"]
        assert ({} in lookup) is is_free
        register = documents["paths"]["/api/v1/registry/register"]["post"]["security"]
        assert register == [{"bearer": []}]
        assert documents["paths"]["/api/v1/health"]["get"]["security"] == []


def test_shows_the_rules_of_fields_where_bodies_and_parameters_have_them(
    published: dict[str, Any],
) -> None:
    bodies = published["components"]["schemas"]
    name = fields.schema_of(rules.SERVICE_NAME)

    assert bodies["RegistrationRequest"]["properties"]["service_name"] == name
    assert bodies["DeployRequest"]["properties"]["service_name"] == name
    assert bodies["BulkRequest"]["properties"]["services"]["items"]["anyOf"][0] == name
    lookup = published["paths"]["/api/v1/services/{name}"]["get"]["parameters"]
    assert [each["schema"] for each in lookup] == [name]
    heartbeat = bodies["HeartbeatRequest"]["properties"]
    assert heartbeat["instance_id"] == {
        **fields.schema_of(rules.INSTANCE_ID),
        "type": ["string", "null"],
    }
    assert heartbeat["version"]["type"] == ["string", "null"]
    assert "pattern" not in heartbeat["version"]  # any text renews; what is no version is warned of


@pytest.mark.parametrize("method", ["put", "patch"])
def test_says_that_a_stale_change_of_labels_is_refused(
    published: dict[str, Any], method: str
) -> None:
    described = published["paths"]["/api/v1/services/{name}/labels"][method]

    assert "412" in described["responses"]
    assert "If-Match" in [parameter["name"] for parameter in described["parameters"]]


def test_errors_follow_the_dialect_of_the_path(published: dict[str, Any]) -> None:
    def body(path: str, method: str, status: str) -> str:
        answer = published["paths"][path][method]["responses"][status]
        return str(answer["content"]["application/json"]["schema"]["$ref"]).rpartition("/")[2]

    assert body("/api/v1/services/register", "post", "400") == "Error"
    assert body("/api/v1/registry/register", "post", "422") == "HTTPValidationError"
    assert body("/api/v1/registry/register", "post", "409") == "ScaiControlError"


def test_the_page_takes_nothing_from_elsewhere_and_runs_nothing_inline(api: APIClient) -> None:
    answer = api.get("/api/v1/docs", headers={"Accept": "text/html"})

    page = answer.content.decode()
    assert answer["Content-Type"].startswith("text/html")
    assert set(re.findall(r'(?:src|href)="([^"]*)"', page)) >= {"/api/v1/schema"}
    assert not re.search(r'(?:src|href)="(?:https?:)?//', page)
    assert not re.search(r"<script(?![^>]*src=)|<style|style=|\son\w+=", page)
    assert "'unsafe" not in answer["Content-Security-Policy"]


# --- Scopes of routes -----------------------------------------------------------------------------


def test_every_route_names_a_scope_for_each_method_or_is_public_on_purpose() -> None:
    public = {
        (path, method)
        for path, method, view in operations()
        if view.required_scopes.get(method.upper()) is None
    }

    assert public == {
        ("/api/v1/schema", "get"),
        ("/api/v1/docs", "get"),
        ("/api/v1/health", "get"),
        ("/api/v1/apply/schema", "get"),
        ("/api/v1/me", "get"),  # any token
        ("/api/v1/agent/join", "post"),  # a join token
        ("/api/v1/webhooks/slack", "post"),  # Slack's signature
    }


def test_every_scope_is_one_that_there_is() -> None:
    for _, _, view in operations():
        assert set(view.required_scopes.values()) <= set(accounts.SCOPES)


def filled(path: str) -> str:
    """An address of the route; nothing of that name exists."""
    plain = path.replace("pause|resume|promote|abort|retry|acknowledge", "pause")
    plain = plain.replace("(?P<verb>pause)", "pause").replace("<str:sender>", "github")
    return spelled(plain).replace("{}", "nobody")


PROTECTED = [
    pytest.param(path, method, view, id=f"{method} {spelled(path)}")
    for path, method, view in operations()
    if view.required_scopes
]


@pytest.mark.usefixtures("redis")
@pytest.mark.parametrize(("path", "method", "view"), PROTECTED)
def test_each_route_takes_its_scope_and_no_other(
    api: APIClient, settings: Settings, path: str, method: str, view: shared.SagaView
) -> None:
    settings.SAGA_AUTH = "required"
    needed = view.required_scopes[method.upper()]
    account = accounts.ensure_account("ci", scopes=accounts.SCOPES)
    if needed == "nodes:work":
        Node.objects.create(name="ci", account=account, joined_at=timezone.now())

    def status(*scopes: str) -> int:
        _, text = accounts.issue_token(account, scopes=scopes)
        headers = {"Authorization": f"Bearer {text}"}
        answer = getattr(api, method)(filled(path), {}, format="json", headers=headers)
        return int(answer.status_code)

    others = [scope for scope in accounts.SCOPES if scope not in (needed, accounts.ADMIN_SCOPE)]

    assert status(*others) == 403
    assert status(needed) not in (401, 403)
    assert status(accounts.ADMIN_SCOPE) not in (401, 403)


@pytest.mark.usefixtures("redis")
@pytest.mark.parametrize(("path", "method", "view"), PROTECTED)
def test_each_route_asks_for_a_token_where_one_is_required(
    api: APIClient, settings: Settings, path: str, method: str, view: shared.SagaView
) -> None:
    settings.SAGA_AUTH = "required"
    body = {"service_name": "nobody"}

    for headers in ({}, {"Authorization": "Bearer unknown"}):
        answer = getattr(api, method)(filled(path), body, format="json", headers=headers)
        assert answer.status_code == 401


# --- The document against the routes --------------------------------------------------------------

# URLs that every rule takes: what else is one, tests of the rules themselves say.
URL = r"https?://[a-z][a-z0-9]{0,9}(\.[a-z][a-z0-9]{0,9}){0,2}(:8080)?(/[a-z0-9]{1,9}){0,2}"
# A format, and no narrower pattern: what a pattern does not match would have to be refused.
schemathesis.openapi.format("plain-url", st.from_regex(URL, fullmatch=True))

_moments = st.datetimes(
    min_value=dt.datetime(2000, 1, 1),  # noqa: DTZ001
    max_value=dt.datetime(2026, 1, 1),  # noqa: DTZ001
).map(lambda moment: moment.isoformat() + "Z")
schemathesis.openapi.format("date-time", _moments)


@pytest.fixture
def kept_connection(db: None) -> Iterator[None]:
    """The test's transaction outlives each request, as Django's own test client has it."""
    ends = (request_started, request_finished)
    for signal in ends:
        signal.disconnect(close_old_connections)
    yield
    for signal in ends:
        signal.connect(close_old_connections)


def is_message_id(part: Any) -> bool:
    """Whether a part is the header with a call's id, which other checks come before."""
    is_header = isinstance(part, dict) and part.get("in") == "header"
    return is_header and part["name"] in ("webhook-id", "X-GitHub-Delivery")


def narrowed(part: Any) -> Any:
    """The document with URLs that can be generated, and formats that are seen beside null."""
    if isinstance(part, list):
        return [narrowed(item) for item in part if not is_message_id(item)]
    if not isinstance(part, dict):
        return part
    kinds = part.get("type")
    if isinstance(kinds, list) and "null" in kinds and len(kinds) == 2:
        (kind,) = (each for each in kinds if each != "null")
        alone = {**part, "type": kind}
        if "enum" in part:
            alone["enum"] = [value for value in part["enum"] if value is not None]
        return {"anyOf": [narrowed(alone), {"type": "null"}]}
    if str(part.get("pattern", "")).startswith(("^https?://", "^(https?://")):
        return {"type": "string", "format": "plain-url"}
    return {key: narrowed(value) for key, value in part.items()}


promised = schemathesis.openapi.from_dict(narrowed(json.loads(document.document("required"))))


def read_and_closed(environ: Any, start_response: Any) -> list[bytes]:
    """A server closes each answer, which gives back an export's stream slot; the client here does not."""
    answer = wsgi.application(environ, start_response)
    try:
        return [b"".join(answer)]
    finally:
        answer.close()


promised.app = read_and_closed
# Words of the code would stand for texts beside null, whatever their format.
promised.config.analysis.constants.enabled = False
promised.config.generation.update(allow_x00=False, allow_extra_parameters=False)

# Valid bodies that are refused all the same, as the contract has it: a heartbeat of a service that is not
# there is 400, a configuration must say at least one thing, a deployment needs an artifact or a release, a
# CloudEvent has an id, and a source is one that can be asked.
REFUSED_ALL_THE_SAME = {
    "/api/v1/services/{name}/heartbeat",
    # A version is a range of versions.
    "/api/v1/services/{name}/resolve",
    "/api/v1/sources",
    "/api/v1/webhooks/config",
    "/api/v1/webhooks/deploy",
    "/api/v1/webhooks/from/{sender}/{name}",
    # The name of a label has a pattern, which the schema does not say of keys.
    "/api/v1/services/{name}/labels",
    # A time zone is an IANA name, and a freeze ends after its start.
    "/api/v1/windows",
    "/api/v1/freezes",
    # Of a document each item has rules of its own.
    "/api/v1/apply",
    # A policy's metrics and versions have rules of their own, and its name a pattern.
    "/api/v1/selector-policies",
    # An account's name has a pattern, and a token ends in the future.
    "/api/v1/accounts",
    # A join token is one that was made, and a node's name has a pattern.
    "/api/v1/agent/join",
    "/api/v1/nodes/join-tokens",
    "/api/v1/tokens",
    "/api/v1/me/tokens",
    # A digest has 64 hexadecimal digits.
    "/api/v1/artifacts",
    # A repository is an owner and a name, an event's type and a format's address are known ones.
    "/api/v1/github-hooks",
    "/api/v1/notification-rules",
    "/api/v1/channels",
    # A correction says what it corrects, and an entity tag is one of Saga's.
    "/api/v1/history-entries/{entry_id}/correct",
    "/api/v1/services/{name}/notes",
    # A host is one that could be called, and a credential needs what its kind sends.
    "/api/v1/credentials",
}


@promised.hook
def filter_body(context: Any, body: Any) -> bool:
    """JSON that cannot be sent as UTF-8 is refused by the parser's own tests."""
    try:
        json.dumps(body, ensure_ascii=False).encode()
    except (TypeError, ValueError):
        return False
    return True


@pytest.fixture
def administrator(redis: None, kept_connection: None, settings: Settings) -> dict[str, str]:
    settings.SAGA_AUTH = "required"
    account = accounts.ensure_account("chief", scopes=["admin:registry"], is_internal=True)
    _, text = accounts.issue_token(account, scopes=["admin:registry"])
    # The answers are read as they come: nothing here unpacks them.
    return {"Authorization": f"Bearer {text}", "Host": "localhost", "Accept-Encoding": "identity"}


@promised.exclude(path="/api/v1/events/stream").parametrize()  # it does not end
@bounded(
    max_examples=EXAMPLES,
    derandomize=True,
    database=None,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_every_route_keeps_what_the_document_promises(
    case: Any, administrator: dict[str, str]
) -> None:
    # A cursor comes out of another page or event, and labels are selected by an expression.
    reported = {"cursor", "after", "label"}
    is_refused = case.path in REFUSED_ALL_THE_SAME or reported & {*(case.query or {})}
    excluded = [positive_data_acceptance] if is_refused else []

    case.call_and_validate(headers=administrator, excluded_checks=excluded)
