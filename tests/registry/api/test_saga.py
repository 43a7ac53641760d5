"""The Saga dialect: the reference document's requests, and what happens to any other."""

import datetime as dt
import json
import re
from urllib.parse import quote

import pytest

from registry.models import Event, Service
from saga_project.shared import redis as shared_redis
from tests import replica

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis")]

EXAMPLE = {
    "service_name": "authentication",
    "service_url": "http://localhost:8001",
    "capabilities": ["rest", "graphql"],
}
DOCUMENTED = [
    "service_name",
    "service_url",
    "service_id",
    "registered_at",
    "last_heartbeat",
    "capabilities",
]
MICROSECONDS = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+00:00")


def register(api, **given):
    return api.post("/api/v1/services/register", {**EXAMPLE, **given}, format="json")


def post(api, path, body):
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return api.post(f"/api/v1{path}", raw, content_type="application/json")


def error(response):
    body = response.json()
    assert set(body) == {"error", "message"}
    return response.status_code, body["error"]


# --- As documented --------------------------------------------------------------------------------


def test_register_answers_with_exactly_the_documented_keys(api):
    response = register(api)

    body = response.json()
    assert response.status_code == 200
    assert list(body) == [
        "service_name",
        "service_url",
        "service_id",
        "registered_at",
        "capabilities",
        "ttl",
    ]
    assert MICROSECONDS.fullmatch(body["registered_at"])
    assert body["capabilities"] == ["rest", "graphql"]
    assert body["ttl"] == 60


def test_a_service_is_found_as_documented(api):
    registered = register(api).json()

    body = api.get("/api/v1/services/authentication").json()

    assert list(body) == DOCUMENTED
    assert body["service_id"] == registered["service_id"]
    assert MICROSECONDS.fullmatch(body["last_heartbeat"])


def test_the_list_has_one_row_a_service_and_their_number(api):
    register(api, service_name="b")
    register(api, service_name="a")
    register(api, service_name="a", instance_id="second")

    body = api.get("/api/v1/services").json()

    assert [row["service_name"] for row in body["services"]] == ["a", "b"]
    assert list(body["services"][0]) == DOCUMENTED
    assert body["total"] == 2


def test_an_empty_registry_lists_nothing(api):
    assert api.get("/api/v1/services").json() == {"services": [], "total": 0}


def test_a_heartbeat_answers_as_documented(api):
    register(api)

    response = api.post("/api/v1/services/authentication/heartbeat")

    assert (response.status_code, response.json()) == (
        200,
        {
            "service_name": "authentication",
            "message": "Service registration refreshed",
            "ttl": 60,
        },
    )


def test_unregistering_answers_as_documented(api):
    register(api)

    response = api.delete("/api/v1/services/authentication")

    assert (response.status_code, response.json()) == (
        200,
        {
            "message": "Service 'authentication' unregistered successfully",
            "service_name": "authentication",
        },
    )
    assert error(api.get("/api/v1/services/authentication")) == (404, "Service not found")


def test_an_unknown_service_is_reported_as_documented(api):
    response = api.get("/api/v1/services/unknown-service")

    assert (response.status_code, response.json()) == (
        404,
        {
            "error": "Service not found",
            "message": "Service 'unknown-service' not found in registry",
        },
    )


# --- Where the reference is silent ----------------------------------------------------------------


def test_heartbeat_of_an_unregistered_service_is_400(api):
    assert error(api.post("/api/v1/services/nobody/heartbeat")) == (400, "Service not found")


def test_unregistering_an_unregistered_service_is_404(api):
    assert error(api.delete("/api/v1/services/nobody")) == (404, "Service not found")


def test_repeated_capabilities_are_dropped_in_order(api):
    body = register(api, capabilities=["mcp", "rest", "mcp"]).json()

    assert body["capabilities"] == ["mcp", "rest"]


def test_instances_carry_all_that_was_said_of_them(api):
    register(
        api,
        instance_id="one",
        version="1.4.2",
        metadata={"team": "core"},
        weight=5,
        zone="eu-1",
        ttl=30,
    )

    body = api.get("/api/v1/services/authentication/instances").json()

    (row,) = body["instances"]
    assert (body["service_name"], body["total"]) == ("authentication", 1)
    assert list(row) == [
        "instance_id",
        "service_url",
        "health",
        "weight",
        "zone",
        "version",
        "capabilities",
        "metadata",
        "registered_at",
        "last_heartbeat",
        "ttl",
    ]
    assert (row["health"], row["weight"], row["zone"], row["ttl"]) == ("passing", 5, "eu-1", 30)


def test_resolve_answers_with_one_instance_and_its_service(api):
    register(api, instance_id="one")

    body = api.get("/api/v1/services/authentication/resolve").json()

    assert (body["service_name"], body["instance_id"]) == ("authentication", "one")


def test_one_instance_leaves_alone(api):
    register(api, instance_id="one")
    register(api, instance_id="two")

    response = api.delete("/api/v1/services/authentication?instance_id=one")

    assert response.status_code == 200
    assert api.get("/api/v1/services/authentication/instances").json()["total"] == 1


def test_many_heartbeats_in_one_request(api):
    register(api, service_name="a", ttl=20)
    register(api, service_name="b", instance_id="two")
    services = ["a", {"service_name": "b", "instance_id": "two", "status": "warning"}, "c"]

    response = post(api, "/services/heartbeat", {"services": services})

    assert response.json() == {"refreshed": 2, "ttl": 20, "missing": ["c"]}
    (row,) = api.get("/api/v1/services/b/instances").json()["instances"]
    assert row["health"] == "warning"


@pytest.mark.parametrize("version", ["1:2.3-1~deb12u1", "", "..", "a b", "x" * 200])
def test_a_heartbeat_with_an_unusable_version_renews_and_warns(api, version):
    register(api, version="1.0.0")

    single = post(api, "/services/authentication/heartbeat", {"version": version})
    bulk = post(
        api,
        "/services/heartbeat",
        {"services": [{"service_name": "authentication", "version": version}]},
    )

    assert (single.status_code, bulk.status_code) == (200, 200)
    assert single.json()["message"] == "Service registration refreshed"
    [warning] = single.json()["warnings"]
    assert f"'{version[:128]}'" in warning
    assert bulk.json()["warnings"] == [warning]
    assert bulk.json()["refreshed"] == 1
    (row,) = api.get("/api/v1/services/authentication/instances").json()["instances"]
    assert row["version"] == "1.0.0"


def test_a_usable_version_is_answered_without_warnings(api):
    register(api)

    response = post(api, "/services/authentication/heartbeat", {"version": "2.0.0"})

    assert set(response.json()) == {"service_name", "message", "ttl"}


def test_a_version_of_another_type_is_refused(api):
    register(api)

    assert post(api, "/services/authentication/heartbeat", {"version": 2}).status_code == 400


@pytest.mark.parametrize("instance_id", ["localhost:my-app:8080", "10.0.0.1#8080#DEFAULT#pay"])
def test_instance_ids_may_hold_colons_and_hashes(api, instance_id):
    register(api, instance_id=instance_id)

    beat = post(api, "/services/authentication/heartbeat", {"instance_id": instance_id})
    (row,) = api.get("/api/v1/services/authentication/instances").json()["instances"]
    gone = api.delete(f"/api/v1/services/authentication?instance_id={quote(instance_id, safe='')}")

    assert (beat.status_code, gone.status_code) == (200, 200)
    assert row["instance_id"] == instance_id
    assert api.get("/api/v1/services/authentication").status_code == 404


@pytest.mark.parametrize("instance_id", [":a", "#", "a/b", "a b", ""])
def test_other_instance_ids_are_refused(api, instance_id):
    assert register(api, instance_id=instance_id).json()["error"] == "Invalid instance id"


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("capability=grpc", ["b"]),
        ("version=>=1.4,<2", ["b"]),
        ("version=>=1.0", ["a", "b"]),
        ("zone=eu", ["a"]),
        ("q=B", ["b"]),
        ("limit=1", ["a"]),
        ("limit=1&offset=1", ["b"]),
        ("offset=5", []),
    ],
)
def test_lists_are_filtered(api, query, names):
    register(api, service_name="a", version="1.3.0", zone="eu", capabilities=["rest"])
    register(api, service_name="b", version="1.10.0", zone="us", capabilities=["grpc"])

    body = api.get(f"/api/v1/services?{query}").json()

    assert [row["service_name"] for row in body["services"]] == names


def test_the_total_counts_all_matches_whatever_the_page(api):
    for name in "abc":
        register(api, service_name=name)

    assert api.get("/api/v1/services?limit=1&offset=1").json()["total"] == 3


def test_reading_costs_no_query(api, django_assert_num_queries):
    register(api)

    with replica.following(), django_assert_num_queries(0):
        for path in ("", "/authentication", "/authentication/instances", "/authentication/resolve"):
            assert api.get(f"/api/v1/services{path}").status_code == 200


def test_null_is_the_same_as_absent(api):
    body = register(api, capabilities=None, version=None, ttl=None, weight=None).json()

    assert (body["capabilities"], body["ttl"]) == ([], 60)


def test_unknown_keys_are_ignored(api):
    assert register(api, colour="green").status_code == 200


def test_a_trailing_slash_and_a_request_id_do_no_harm(api):
    register(api)

    response = api.get("/api/v1/services/authentication", headers={"X-Request-ID": "abc-123"})

    assert response["X-Request-ID"] == "abc-123"


@pytest.mark.parametrize("offered", ["", "a b", "x" * 129, "ü"])
def test_a_request_id_that_could_hurt_a_log_is_replaced(api, offered):
    response = api.get("/api/v1/services", HTTP_X_REQUEST_ID=offered)

    assert re.fullmatch(r"[0-9a-f]{32}", response["X-Request-ID"])


# --- Bad input ------------------------------------------------------------------------------------

HOSTILE_REGISTRATIONS = [
    (b"", 400, "Invalid request"),
    (b"{", 400, "Invalid JSON"),
    (b"[]", 400, "Invalid JSON"),
    (b'"text"', 400, "Invalid JSON"),
    (b"\xff\xfe", 400, "Invalid JSON"),
    (b'{"service_name": "a", "service_name": "b"}', 400, "Invalid JSON"),
    (b'{"service_name": "\\u0000"}', 400, "Invalid JSON"),
    (b'{"service_name": "\\ud800"}', 400, "Invalid JSON"),
    (b"[" * 5000, 400, "Invalid JSON"),
    ({}, 400, "Invalid request"),
    ({"service_name": "a"}, 400, "Invalid request"),
    ({**EXAMPLE, "service_name": ""}, 400, "Invalid service name"),
    ({**EXAMPLE, "service_name": "my service"}, 400, "Invalid service name"),
    ({**EXAMPLE, "service_name": "my:service"}, 400, "Invalid service name"),
    ({**EXAMPLE, "service_name": "register"}, 400, "Invalid service name"),
    ({**EXAMPLE, "service_name": 5}, 400, "Invalid request"),
    ({**EXAMPLE, "service_name": True}, 400, "Invalid request"),
    ({**EXAMPLE, "service_name": ["a"]}, 400, "Invalid request"),
    ({**EXAMPLE, "service_url": "localhost"}, 400, "Invalid service URL"),
    ({**EXAMPLE, "service_url": "http://u:p@h"}, 400, "Invalid service URL"),
    ({**EXAMPLE, "service_url": {}}, 400, "Invalid request"),
    ({**EXAMPLE, "capabilities": ["soap"]}, 400, "Invalid capability"),
    ({**EXAMPLE, "capabilities": [""]}, 400, "Invalid capability"),
    ({**EXAMPLE, "capabilities": "rest"}, 400, "Invalid request"),
    ({**EXAMPLE, "capabilities": [1]}, 400, "Invalid request"),
    ({**EXAMPLE, "version": "../../etc"}, 400, "Invalid version"),
    ({**EXAMPLE, "version": ""}, 400, "Invalid version"),
    ({**EXAMPLE, "instance_id": "a b"}, 400, "Invalid instance id"),
    ({**EXAMPLE, "instance_id": ""}, 400, "Invalid instance id"),
    ({**EXAMPLE, "health_check_url": ""}, 400, "Invalid service URL"),
    ({**EXAMPLE, "weight": 65536}, 400, "Invalid request"),
    ({**EXAMPLE, "weight": "5"}, 400, "Invalid request"),
    ({**EXAMPLE, "weight": True}, 400, "Invalid request"),
    ({**EXAMPLE, "ttl": 4}, 400, "Invalid request"),
    ({**EXAMPLE, "ttl": 3601}, 400, "Invalid request"),
    ({**EXAMPLE, "ttl": 60.5}, 400, "Invalid request"),
    ({**EXAMPLE, "metadata": {"a": 1}}, 400, "Invalid request"),
    ({**EXAMPLE, "metadata": []}, 400, "Invalid request"),
]


@pytest.mark.parametrize(("body", "status", "short"), HOSTILE_REGISTRATIONS)
def test_a_bad_registration_is_reported_clearly_and_changes_nothing(api, body, status, short):
    response = post(api, "/services/register", body)

    assert error(response) == (status, short)
    assert not Service.objects.exists()
    assert not Event.objects.exists()


def test_a_body_that_is_too_large_is_refused(api):
    response = post(api, "/services/register", b'{"a": "' + b"x" * 1024 * 1024 + b'"}')

    assert error(response) == (413, "Request body too large")


def test_a_body_that_is_not_json_is_refused(api):
    response = api.post(
        "/api/v1/services/register",
        "service_name=a",
        content_type="application/x-www-form-urlencoded",
    )

    assert error(response) == (415, "Unsupported media type")


@pytest.mark.parametrize(
    ("query", "short"),
    [
        ("limit=0", "Invalid limit"),
        ("limit=1001", "Invalid limit"),
        ("limit=-1", "Invalid limit"),
        ("limit=abc", "Invalid limit"),
        ("limit=" + "9" * 5000, "Invalid limit"),
        ("limit=١", "Invalid limit"),
        ("limit=", "Invalid limit"),
        ("offset=-1", "Invalid offset"),
        ("capability=soap", "Invalid capability"),
        ("version=>>1", "Invalid version"),
        ("zone=%00", "Invalid parameter"),
        ("q=" + "x" * 300, "Invalid parameter"),
    ],
)
def test_a_bad_parameter_is_reported_clearly(api, query, short):
    assert error(api.get(f"/api/v1/services?{query}")) == (400, short)


@pytest.mark.parametrize("name", ["a%20b", "a:b", "%00", "-x", "x" * 129, "watch", "é"])
def test_a_bad_name_in_a_path_is_400_and_not_404(api, name):
    assert error(api.get(f"/api/v1/services/{name}")) == (400, "Invalid service name")
    assert error(api.post(f"/api/v1/services/{name}/heartbeat")) == (400, "Invalid service name")
    assert error(api.delete(f"/api/v1/services/{name}")) == (400, "Invalid service name")


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"services": "a"},
        {"services": {}},
        {"services": [1]},
        {"services": [None]},
        {"services": [{}]},
        {"services": [{"service_name": "a", "status": "dead"}]},
        {"services": ["a b"]},
        {"services": ["a"] * 1001},
    ],
)
def test_bad_bulk_heartbeats_are_reported_clearly(api, body):
    assert post(api, "/services/heartbeat", body).status_code == 400


def test_an_unknown_route_is_404_and_a_wrong_method_405_with_allow(api):
    wrong = api.put("/api/v1/services")

    assert error(api.get("/api/v1/nowhere")) == (404, "Not found")
    assert error(wrong) == (405, "Method not allowed")
    assert wrong["Allow"] == "GET, HEAD, OPTIONS"


# --- Redis gone -----------------------------------------------------------------------------------


@pytest.fixture
def no_redis(redis):
    """Redis as a client sees it when the server refuses connections."""
    shared_redis.breaker._open_until = float("inf")
    yield
    shared_redis.breaker._open_until = 0.0


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("get", "/services"),
        ("get", "/services/authentication"),
        ("get", "/services/authentication/instances"),
        ("get", "/services/authentication/resolve"),
        ("post", "/services/authentication/heartbeat"),
    ],
)
def test_without_redis_the_answer_is_503_as_documented(api, no_redis, method, path):
    assert error(getattr(api, method)(f"/api/v1{path}")) == (503, "Redis is not available")


def test_without_redis_a_registration_changes_nothing(api, no_redis):
    assert error(register(api)) == (503, "Redis is not available")
    assert not Service.objects.exists()


def test_stale_reads_are_served_where_they_are_allowed_and_say_their_age(api, redis, settings):
    settings.SAGA_STALE_READS = 60
    register(api)
    with replica.following():
        pass
    shared_redis.breaker._open_until = float("inf")

    response = api.get("/api/v1/services/authentication")
    listed = api.get("/api/v1/services")
    shared_redis.breaker._open_until = 0.0

    assert response.status_code == listed.status_code == 200
    assert int(response["X-Saga-Stale"]) >= 0
    assert listed.json()["total"] == 1


def test_times_are_utc_whatever_the_reader(api):
    body = register(api).json()

    assert dt.datetime.fromisoformat(body["registered_at"]).utcoffset() == dt.timedelta(0)
