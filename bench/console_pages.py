"""The console over 1,000 services and 100,000 events: how fast each page is, and what watchers cost.

    python -m bench.console_pages [--services 1000] [--events 100000] [--watchers 20]

Starts servers and web processes of its own, fills the tables, logs in, and measures over HTTP; then it
measures lookups alone, and with the console open in so many browsers beside them. Ends with 1 where a
page's 95th percentile is above the limit.
"""

from __future__ import annotations

import argparse
import http.client
import multiprocessing
import statistics
import sys
import time
from collections.abc import Callable

import psutil
import requests
from django.contrib.auth import get_user_model
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from bench import console_watchers
from bench.faults import servers
from tests import webserver

REQUESTS = 20
LIMIT_MS = 300
WEB_PROCESSES = 2  # as "make run" starts on two cores
ROUNDS = 2
LOOKUP_SECONDS = 12.0  # several polls of each page
PACE_SECONDS = 0.004
WARM_UP_SECONDS = 6.0
PASSWORD = "bench bench bench"  # noqa: S105
LISTS = (
    ("services", "registry/service/"),
    ("services that are gone", "registry/service/?state=gone"),
    ("services, searched", "registry/service/?q=service-77"),
    ("instances", "registry/instance/"),
    ("subscriptions", "registry/subscription/"),
    ("events", "registry/event/"),
    ("deployments", "updates/job/"),
    ("approvals", "updates/approval/"),
    ("releases", "updates/release/"),
    ("history", "updates/historyentry/"),
    ("policies", "updates/policy/"),
    ("sources", "updates/source/"),
    ("targets", "updates/target/"),
    ("configurations", "webhooks/configuration/"),
    ("inbound calls", "webhooks/inboundcall/"),
    ("deliveries", "webhooks/delivery/"),
    ("service accounts", "registry/serviceaccount/"),
    ("tokens", "registry/token/"),
    ("audit trail", "updates/auditentry/"),
    ("schedules", "django_celery_beat/periodictask/"),
)
PAGES = {
    "dashboard": "/admin/",
    "dashboard, live part": "/admin/",
    "start here": "/admin/start/",
    "service": "/admin/services/service-500/",
    "service, live part": "/admin/services/service-500/",
    "service, deploy?": "/admin/services/service-500/do/deploy/",
    "deployment": "/admin/deployments/deploy-service-1-0/",
    "deployment, live part": "/admin/deployments/deploy-service-1-0/",
    "dead deliveries, preview": "/admin/deliveries/replay/",
    **{f"list of {name}": f"/admin/{path}" for name, path in LISTS},
}
#: What the watchers look at, in turn.
WATCHED = ("/admin/", "/admin/services/service-501/", "/admin/deployments/deploy-service-1-0/")


def log_in(url: str) -> requests.Session:
    session = requests.Session()
    session.get(f"{url}/admin/login/", timeout=30)
    form = {
        "username": "bench",
        "password": PASSWORD,
        "csrfmiddlewaretoken": session.cookies["csrftoken"],
    }
    answer = session.post(f"{url}/admin/login/", data=form, timeout=30)
    if "Log out" not in answer.text:
        raise SystemExit("The login failed.")
    return session


def timed(call: Callable[[], requests.Response], count: int) -> list[float]:
    """Return how many ms each of so many calls took."""
    took = []
    for _ in range(count):
        begun = time.perf_counter()
        answer = call()
        took.append(1000 * (time.perf_counter() - begun))
        if answer.status_code not in (200, 204):
            raise SystemExit(f"{answer.url}: {answer.status_code}")
    return took


def percentile(values: list[float], share: int) -> float:
    return statistics.quantiles(values, n=100)[share - 1]


def headers_of(name: str) -> dict[str, str]:
    return {"X-Saga-Fragment": "live"} if "live part" in name else {}


def queries(name: str, address: str) -> int:
    client = Client(SERVER_NAME="localhost")
    client.force_login(
        get_user_model().objects.get(username="bench"),
        backend="django.contrib.auth.backends.ModelBackend",
    )
    with CaptureQueriesContext(connection) as captured:
        client.get(address, headers=headers_of(name))
    return len(captured)


def measure_pages(session: requests.Session, server: webserver.WebServer) -> bool:
    """Print a line for each page; return whether all stay below the limit.

    The processor's time is the web process's own, so it says something on a busy machine, too.
    """
    url, process = server.url, psutil.Process(server.processes[0].pid)
    print(f"\n{'page':<32}{'p50':>9}{'p95':>9}{'processor':>12}{'queries':>9}")
    is_fast = True
    for name, address in PAGES.items():
        call = lambda: session.get(url + address, headers=headers_of(name), timeout=60)  # noqa: B023, E731
        timed(call, 3)
        begun = _spent(process)
        took = timed(call, REQUESTS)
        spent = 1000 * (_spent(process) - begun) / REQUESTS
        p50, p95 = percentile(took, 50), percentile(took, 95)
        is_fast = is_fast and p95 <= LIMIT_MS
        asked = queries(name, address)
        print(f"{name:<32}{p50:>6.0f} ms{p95:>6.0f} ms{spent:>9.0f} ms{asked:>9}", flush=True)
    return is_fast


def _spent(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def measure_watchers(session: requests.Session, server: webserver.WebServer, count: int) -> None:
    """Print how long lookups take without browsers, and with so many of them, in turn."""
    spawned = multiprocessing.get_context("spawn")
    alone: list[float] = []
    beside: list[float] = []
    for _ in range(ROUNDS):
        alone += lookups(server.port)
        closed = spawned.Event()
        cookies = session.cookies.get_dict()
        browsers = spawned.Process(
            target=console_watchers.open_browsers,
            args=(server.url, cookies, WATCHED, count, closed),
        )
        browsers.start()
        time.sleep(WARM_UP_SECONDS)
        beside += lookups(server.port)
        closed.set()
        browsers.join()
        if browsers.exitcode:
            raise SystemExit("The watchers failed.")
    print(f"\n{'lookups, 250 a second':<36}{'p50':>10}{'p90':>10}{'p99':>10}")
    for title, took in (
        ("nobody watches", alone),
        (f"the console is open in {count} browsers", beside),
    ):
        figures = "".join(f"{percentile(took, share):>7.2f} ms" for share in (50, 90, 99))
        print(f"{title:<36}{figures}")


def lookups(port: int) -> list[float]:
    """Look one service up at a steady pace; return how many ms each took, waiting for its turn included."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    took = []
    begun = time.perf_counter()
    for number in range(int(LOOKUP_SECONDS / PACE_SECONDS)):
        due = begun + number * PACE_SECONDS
        time.sleep(max(0, due - time.perf_counter()))
        connection.request("GET", "/api/v1/services/service-501")
        answer = connection.getresponse()
        answer.read()
        if answer.status != 200:
            raise SystemExit(f"A lookup was answered {answer.status}.")
        took.append(1000 * (time.perf_counter() - due))
    connection.close()
    return took


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--services", type=int, default=1000)
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--watchers", type=int, default=20)
    chosen = parser.parse_args()
    with servers.running():
        # It imports models, which need Django to be set up.
        from bench import console_rows  # noqa: PLC0415

        console_rows.fill(services=chosen.services, events=chosen.events, password=PASSWORD)
        is_fast = _measure(chosen.watchers)
    sys.exit(0 if is_fast else 1)


def _measure(watchers: int) -> bool:
    with webserver.serving() as server:
        is_fast = measure_pages(log_in(server.url), server)
        print(f"every page within {LIMIT_MS} ms: {'yes' if is_fast else 'NO'}")
    with webserver.serving(processes=WEB_PROCESSES) as server:
        register(server)
        measure_watchers(log_in(server.url), server, watchers)
    return is_fast


def register(server: webserver.WebServer) -> None:
    """Keep the looked-up service alive: rows alone are no presence."""
    sent = {
        "service_name": "service-501",
        "service_url": "http://10.0.0.1:8000",
        "capabilities": ["rest"],
        "ttl": 3600,
    }
    deadline = time.monotonic() + 60
    while not server.post("/api/v1/services/register", json=sent).ok:
        if time.monotonic() > deadline:
            raise SystemExit("The service could not be registered.")
        time.sleep(0.2)


if __name__ == "__main__":
    main()
