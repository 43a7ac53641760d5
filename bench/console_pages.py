"""The console over 1,000 services and 100,000 events: how fast each page is, and what watchers cost.

    python -m bench.console_pages [--services 1000] [--events 100000] [--watchers 20]

Starts servers and one web process of its own, fills the tables, logs in, and measures over HTTP; then it
measures lookups alone, and with so many browsers' worth of polls beside them.
"""

from __future__ import annotations

import argparse
import statistics
import threading
import time
from collections.abc import Callable

import psutil
import requests
from django.contrib.auth import get_user_model
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from bench.faults import servers
from tests import webserver

REQUESTS = 20
LIMIT_MS = 300
LOOKUPS = 1500
POLL_SECONDS = 3.0
PASSWORD = "bench bench bench"  # noqa: S105
FILL = (
    """INSERT INTO registry_service (service_id, name, display_name, description, app_id, category,
        contact_email, health_check_url, capabilities, endpoints, metadata, heartbeat_interval_seconds,
        version, previous_version, status, status_reason, health_status, consecutive_misses,
        is_auto_approved, approved_by,
        registered_at, updated_at, canary_version, notes, revision)
    SELECT gen_random_uuid(), 'service-' || n, '', '', '', '', '', '', '["rest"]', '{}', '{}', 30,
        '1.0.0', '',
        CASE WHEN n %% 50 = 0 THEN 'pending_approval' WHEN n %% 20 = 0 THEN 'degraded' ELSE 'active' END,
        '', 'healthy', 0, true, '', now() - interval '30 days', now(), '', '', 1
    FROM generate_series(1, %(services)s) AS n""",
    """INSERT INTO registry_instance (service_id, instance_id, url, capabilities, version, metadata,
        health_check_url, weight, zone, ttl_seconds, state, health, note, is_draining, registered_at,
        last_heartbeat_at)
    SELECT id, 'one', 'http://10.0.0.1:8000', '["rest"]', '1.0.0', '{}', '', 1, 'eu', 3600,
        CASE WHEN id %% 10 = 0 THEN 'expired' ELSE 'live' END, 'passing', '', false,
        now() - interval '30 days', now()
    FROM registry_service""",
    """INSERT INTO registry_event (type, service_name, occurred_at, data)
    SELECT (ARRAY['service.registered', 'health.changed', 'service.expired', 'lifecycle.started'])
            [1 + n %% 4],
        'service-' || 1 + n %% %(services)s, now() - interval '30 days' * (1 - n::float / %(events)s),
        '{"instance_id": "one", "old": "passing", "new": "warning"}'
    FROM generate_series(1, %(events)s) AS n""",
    """INSERT INTO updates_historyentry (service_name, kind, status, old_version, new_version,
        running_version, timestamp, started_at, released_at, duration_seconds, detail, recorded_by,
        recorded_at)
    SELECT 'service-' || 1 + n %% %(services)s, 'deploy',
        CASE WHEN n %% 20 = 0 THEN 'failed' ELSE 'success' END, '1.0.0', '1.0.1', '1.0.1',
        at, at - interval '40 s', at - interval '1 day', 40, '', 'bench', now()
    FROM generate_series(1, %(events)s / 5) AS n,
        LATERAL (SELECT now() - interval '60 days' * (1 - n * 5.0 / %(events)s)) AS of(at)""",
    "ANALYZE",
)
PAGES = {
    "dashboard": "/admin/",
    "dashboard, live part": "/admin/",
    "start here": "/admin/start/",
    "service": "/admin/services/service-500/",
    "service, live part": "/admin/services/service-500/",
    "services, list": "/admin/registry/service/",
    "services gone, list": "/admin/registry/service/?state=gone",
    "services, search": "/admin/registry/service/?q=service-77",
    "events, list": "/admin/registry/event/",
    "history, list": "/admin/updates/historyentry/",
    "deployments, list": "/admin/updates/job/",
    "deliveries, list": "/admin/webhooks/delivery/",
}


def fill(*, services: int, events: int) -> None:
    with connection.cursor() as cursor:
        for statement in FILL:
            cursor.execute(statement, {"services": services, "events": events})
    get_user_model().objects.create_superuser("bench", password=PASSWORD)


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
    print(f"\n{'page':<24}{'p50':>9}{'p95':>9}{'processor':>12}{'queries':>9}")
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
        print(f"{name:<24}{p50:>6.0f} ms{p95:>6.0f} ms{spent:>9.0f} ms{asked:>9}", flush=True)
    return is_fast


def _spent(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def watch(session: requests.Session, url: str, delay: float, stop: threading.Event) -> None:
    """Poll as console.js does."""
    digest = ""
    time.sleep(delay)
    while not stop.is_set():
        sent = {"X-Saga-Fragment": "live", "X-Saga-Digest": digest}
        answer = session.get(f"{url}/admin/", headers=sent, timeout=60)
        digest = answer.headers.get("X-Saga-Digest", "")
        stop.wait(POLL_SECONDS)


def measure_lookups(url: str) -> list[float]:
    session = requests.Session()
    call = lambda: session.get(f"{url}/api/v1/services/service-501", timeout=30)  # noqa: E731
    timed(call, 50)
    return timed(call, LOOKUPS)


def measure_watchers(session: requests.Session, url: str, watchers: int) -> None:
    def shown(title: str, took: list[float]) -> None:
        print(f"{title:<44}{percentile(took, 50):>7.2f} ms{percentile(took, 99):>8.2f} ms")

    print(f"\n{'lookups, one after the other':<44}{'p50':>10}{'p99':>11}")
    shown("nobody watches", measure_lookups(url))
    stop = threading.Event()
    threads = [
        threading.Thread(
            target=watch, args=(_copy(session), url, POLL_SECONDS * n / watchers, stop)
        )
        for n in range(watchers)
    ]
    for thread in threads:
        thread.start()
    time.sleep(2 * POLL_SECONDS)
    shown(f"the dashboard is open in {watchers} browsers", measure_lookups(url))
    stop.set()
    for thread in threads:
        thread.join()


def _copy(session: requests.Session) -> requests.Session:
    copied = requests.Session()
    copied.cookies.update(session.cookies)
    return copied


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--services", type=int, default=1000)
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--watchers", type=int, default=20)
    chosen = parser.parse_args()
    with servers.running():
        fill(services=chosen.services, events=chosen.events)
        with webserver.serving() as server:
            session = log_in(server.url)
            is_fast = measure_pages(session, server)
            print(f"every page within {LIMIT_MS} ms: {'yes' if is_fast else 'NO'}")
            measure_watchers(session, server.url, chosen.watchers)


if __name__ == "__main__":
    main()
