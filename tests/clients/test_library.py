"""The client library against a whole stack, through a proxy that can take Saga away."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import saga_client
from pytest_httpserver import HTTPServer
from saga_client import versions, webhooks
from werkzeug import Request, Response

from saga_project.shared.versions import ranges
from tests import faults, waiting
from tests import stack as stacks
from tests.clients import programs

pytestmark = pytest.mark.xdist_group("clients")


@pytest.fixture
def proxy(stack: stacks.Stack) -> Iterator[faults.FaultProxy]:
    with faults.FaultProxy("127.0.0.1", stack.port).running() as running:
        yield running


@pytest.fixture
def saga(
    stack: stacks.Stack, token: str, tmp_path: object, monkeypatch: pytest.MonkeyPatch
) -> Iterator[saga_client.Saga]:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    client = saga_client.Saga(f"http://127.0.0.1:{stack.port}", token=token)
    yield client
    client.close()


@pytest.fixture
def far(saga: saga_client.Saga, proxy: faults.FaultProxy, token: str) -> Iterator[saga_client.Saga]:
    """A client whose way to Saga can be broken."""
    client = saga_client.Saga(f"http://127.0.0.1:{proxy.port}", token=token)
    yield client
    client.close()


def instances(saga: saga_client.Saga, name: str) -> dict[str, saga_client.Instance]:
    return {each.instance_id: each for each in saga.instances(name)}


def last_heartbeat(saga: saga_client.Saga, name: str) -> str:
    [instance] = saga.instances(name)
    return str(instance.document["last_heartbeat"])


# --- Registration -----------------------------------------------------------------------------------


def test_service_is_registered_for_a_block_and_sends_heartbeats(saga: saga_client.Saga):
    with saga.registered("payment", "http://127.0.0.1:7001", version="1.4.0", ttl=5):
        [instance] = saga.instances("payment")
        first = last_heartbeat(saga, "payment")
        waiting.until(lambda: last_heartbeat(saga, "payment") != first, pause_seconds=0.2)

    assert (instance.instance_id, instance.version) == ("127.0.0.1:7001", "1.4.0")
    assert saga.instances("payment") == []


def test_service_that_saga_has_forgotten_registers_again(saga: saga_client.Saga):
    with saga.registered("forgotten", "http://127.0.0.1:7001", version="1.4.0", ttl=5):
        saga.deregister("forgotten")

        [instance] = waiting.until(lambda: saga.instances("forgotten"), pause_seconds=0.2)

    assert instance.version == "1.4.0"


def test_health_is_reported_at_once_and_kept(saga: saga_client.Saga):
    with saga.registered("reporting", "http://127.0.0.1:7001", ttl=3600) as registration:
        registration.report("critical", note="disk full")

        waiting.until(lambda: saga.instances("reporting")[0].health == "critical")


def test_application_goes_on_while_saga_is_away(
    saga: saga_client.Saga, far: saga_client.Saga, proxy: faults.FaultProxy
):
    proxy.refuse()
    with far.registered("patient", "http://127.0.0.1:7001", ttl=5) as registration:
        was_registered = registration.is_registered
        proxy.serve()
        waiting.until(lambda: saga.instances("patient"), pause_seconds=0.2)
        proxy.freeze()

    proxy.thaw()
    assert not was_registered


def test_registration_that_is_invalid_raises_at_the_start(saga: saga_client.Saga):
    with pytest.raises(saga_client.InvalidRequest, match="name"):
        saga.registered("not a name", "http://127.0.0.1:7001").start()


def environment(saga: saga_client.Saga, token: str, folder: object) -> dict[str, str]:
    return {"SAGA_URL": saga.url, "SAGA_TOKEN": token, "XDG_CONFIG_HOME": str(folder)}


def test_sigterm_ends_the_block_and_deregisters(
    saga: saga_client.Saga, token: str, tmp_path: object
):
    variables = environment(saga, token, tmp_path)
    process, line = programs.start(
        programs.STAYING, "ended", "http://127.0.0.1:7002", variables=variables
    )
    was_registered = saga.instances("ended")
    process.send_signal(signal.SIGTERM)
    with process:
        status = process.wait(20)

    assert line == "running"
    assert was_registered
    assert status == 128 + signal.SIGTERM
    assert saga.instances("ended") == []


def test_forked_workers_take_over_and_the_last_one_deregisters(
    saga: saga_client.Saga, token: str, tmp_path: object
):
    variables = environment(saga, token, tmp_path)
    process, line = programs.start(
        programs.FORKING, "forked", "http://127.0.0.1:7003", variables=variables
    )
    parent, *workers = (int(word) for word in line.split())
    os.kill(workers[0], signal.SIGTERM)
    with process:
        os.kill(parent, signal.SIGKILL)
        process.wait(20)
    before = last_heartbeat(saga, "forked")

    waiting.until(lambda: last_heartbeat(saga, "forked") != before, pause_seconds=0.2)
    os.kill(workers[1], signal.SIGTERM)

    waiting.until(lambda: saga.instances("forked") == [], pause_seconds=0.2)


# --- Discovery --------------------------------------------------------------------------------------


def test_instances_are_chosen_by_weight_version_and_zone(saga: saga_client.Saga):
    for port, version, zone, weight in (
        (1, "1.3.0", "a", 1),
        (2, "1.4.0", "a", 3),
        (3, "1.5.0", "b", 1),
    ):
        fields = {"version": version, "zone": zone, "weight": weight, "instance_id": str(port)}
        saga.register("billing", f"http://127.0.0.1:{port}", **fields)

    drawn = Counter(saga.discover("billing").instance_id for _ in range(50))
    newer = {saga.discover("billing", version=">=1.4,<2").instance_id for _ in range(20)}
    near = {saga.discover("billing", version=">=1.4,<2", zone="b").instance_id for _ in range(20)}

    assert drawn == {"1": 10, "2": 30, "3": 10}
    assert newer == {"2", "3"}
    assert near == {"3"}
    with pytest.raises(saga_client.NoInstance, match=">=9"):
        saga.discover("billing", version=">=9")
    with pytest.raises(saga_client.NoInstance, match="unheard"):
        saga.discover("unheard")


def test_cache_follows_what_changes(saga: saga_client.Saga):
    saga.register("moving", "http://127.0.0.1:1", instance_id="1")
    first = saga.discover("moving").url

    saga.register("moving", "http://127.0.0.1:2", instance_id="2")
    saga.deregister("moving", instance_id="1")

    waiting.until(lambda: saga.discover("moving").url == "http://127.0.0.1:2")
    assert first == "http://127.0.0.1:1"


def test_lookups_go_on_while_saga_is_away_and_follow_again_afterwards(
    saga: saga_client.Saga, far: saga_client.Saga, proxy: faults.FaultProxy
):
    saga.register("steady", "http://127.0.0.1:1", instance_id="1")
    far.discover("steady")
    failed: list[Exception] = []
    ended = threading.Event()

    def look_up() -> None:
        while not ended.is_set():
            try:
                far.discover("steady")
            except saga_client.SagaError as exc:
                failed.append(exc)

    with ThreadPoolExecutor() as pool:
        looking = pool.submit(look_up)
        proxy.refuse()
        saga.register("steady", "http://127.0.0.1:2", instance_id="2")
        saga.deregister("steady", instance_id="1")
        with pytest.raises(saga_client.Unreachable):
            far.service("steady")
        while_away = far.discover("steady").url
        proxy.serve()
        waiting.until(lambda: far.discover("steady").url == "http://127.0.0.1:2")
        ended.set()
        looking.result(10)

    assert while_away == "http://127.0.0.1:1"
    assert failed == []


@pytest.mark.parametrize(
    "version", ["1.3.9", "1.4", "1.4.0-rc.1", "1.4.2", "1.9.0", "1.10.0", "2.0.0", "0.3.1"]
)
@pytest.mark.parametrize(
    "wanted", [">=1.4,<2", "1.4.2", "==1.4.0", "!=1.4.2", "^1.4", "~1.4.1", ">1.9"]
)
def test_ranges_mean_what_they_mean_to_saga(version: str, wanted: str):
    if "-" in version and wanted[0] in "^~":
        pytest.skip("Saga leaves pre-releases out of these; the client compares them.")

    assert versions.matches(version, wanted) == ranges.parse_range(wanted).allows(version)


# --- Webhooks ---------------------------------------------------------------------------------------

GOLDEN = {
    "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
    "Webhook-Timestamp": "1614265330",
    "webhook-signature": "v1,AAAA v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
}
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def test_webhook_of_the_specification_is_verified():
    body = b'{"test": 2432232314}'

    assert saga_client.verify_webhook(body, GOLDEN, secret=SECRET, now=1614265330) == {
        "test": 2432232314
    }
    assert saga_client.verify_webhook(body, GOLDEN, secret=["old", SECRET], now=1614265630)
    for wrong in (
        {"body": body + b" ", "secret": SECRET, "now": 1614265330},
        {"body": body, "secret": "another", "now": 1614265330},
        {"body": body, "secret": SECRET, "now": 1614265330 + 301},
    ):
        with pytest.raises(saga_client.InvalidSignature):
            saga_client.verify_webhook(headers=GOLDEN, **wrong)
    with pytest.raises(saga_client.InvalidSignature):
        saga_client.verify_webhook(body, {}, secret=SECRET)
    with pytest.raises(saga_client.InvalidSignature):
        saga_client.verify_webhook(
            body, {**GOLDEN, "webhook-signature": "v1,é"}, secret=SECRET, now=1614265330
        )


def test_delivery_of_saga_is_verified(saga: saga_client.Saga, httpserver: HTTPServer):
    received: list[Request] = []

    def receive(request: Request) -> Response:
        received.append(request)
        return Response(status=204)

    httpserver.expect_request("/events").respond_with_handler(receive)
    saga.register("sending", "http://127.0.0.1:1")
    subscription = saga.call(
        "POST",
        "/subscriptions",
        body={
            "service_name": "sending",
            "subscriber": "test",
            "callback_url": httpserver.url_for("/events"),
            "topics": ["service.deregistered"],
        },
    )
    saga.deregister("sending", instance_id="default")
    [request] = waiting.until(lambda: received)

    event = saga_client.verify_webhook(
        request.get_data(), dict(request.headers), secret=subscription["secret"]
    )
    assert event["type"] == "service.deregistered"
    with pytest.raises(saga_client.InvalidSignature):
        saga_client.verify_webhook(request.get_data(), dict(request.headers), secret="other")


def test_signature_of_the_client_is_the_one_of_the_specification():
    headers = webhooks.sign(
        b'{"test": 2432232314}', secret=SECRET, message_id=GOLDEN["webhook-id"], now=1614265330
    )

    assert headers["webhook-signature"] == GOLDEN["webhook-signature"].split()[1]


# --- asyncio ----------------------------------------------------------------------------------------


def test_asynchronous_client(saga: saga_client.Saga, token: str):
    async def use() -> tuple[list[saga_client.Instance], str, str, list[saga_client.Instance]]:
        client = saga_client.AsyncSaga(saga.url, token=token)
        async with client.registered("async", "http://127.0.0.1:7004", version="1.0.0"):
            alive = await client.instances("async")
            first = await client.discover("async")
            again = await client.discover("async")
        after = await client.instances("async")
        await client.close()
        return alive, first.url, again.url, after

    alive, first, again, after = asyncio.run(use())

    assert [each.version for each in alive] == ["1.0.0"]
    assert first == again == "http://127.0.0.1:7004"
    assert after == []


def test_errors_say_what_saga_said(saga: saga_client.Saga):
    with pytest.raises(saga_client.NotFound) as caught:
        saga.service("unheard")

    assert (caught.value.status, caught.value.error) == (404, "Service not found")
    assert caught.value.request_id
    with contextlib.closing(socket.socket()) as unused:
        unused.bind(("127.0.0.1", 0))
        away = saga_client.Saga(f"http://127.0.0.1:{unused.getsockname()[1]}")
        with pytest.raises(saga_client.Unreachable, match="refused"):
            away.health()
