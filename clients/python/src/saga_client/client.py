"""The client: one object for one Saga, which several threads may share."""

from __future__ import annotations

import json
import ssl
import time
import uuid
from collections.abc import Iterator, Mapping
from typing import Any

from saga_client import (
    discovery,
    errors,
    models,
    profiles,
    registration,
    transport,
    uploads,
    webhooks,
)
from saga_client.models import Instance, Job

MAX_WAIT_SECONDS = 60


class Saga:
    """Calls of one Saga.

    Without arguments, address and token come from SAGA_URL and SAGA_TOKEN, then from the profile that
    ``saga login`` wrote; a Saga on this machine with SAGA_AUTH=local-token needs neither. ``proxy`` is an
    outgoing proxy, empty for none; without it HTTPS_PROXY and NO_PROXY decide.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        token: str | None = None,
        profile: str | None = None,
        timeout: float = 30.0,
        tls: ssl.SSLContext | None = None,
        proxy: str | None = None,
    ) -> None:
        found = profiles.load(url=url, token=token, profile=profile)
        self.url = found.url
        self.transport = transport.Transport(
            found.url, token=found.token, timeout=timeout, tls=tls, proxy=proxy
        )
        self._discovery = discovery.Discovery(self.transport)
        #: ``discover(name, version=None, zone=None)`` returns an Instance; see discovery.Discovery.
        self.discover = self._discovery.discover

    def call(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, Any] | None = None,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,
    ) -> Any:
        """Return the JSON of any route; ``path`` begins after /api/v1. For what has no method here."""
        return self.transport.call(
            method, path, query=query, body=body, headers=headers, timeout=timeout
        )

    def is_known(self, name: str) -> bool:
        """Return whether ``discover`` answers for this name out of memory."""
        return self._discovery.is_known(name)

    def close(self) -> None:
        """Stop following what discovery has cached."""
        self._discovery.close()

    # --- Registry ---------------------------------------------------------------------------------

    def health(self) -> dict[str, Any]:
        """Return the health of Saga itself, also where it is unhealthy."""
        try:
            return dict(self.call("GET", "/health"))
        except errors.Unavailable as exc:
            if isinstance(exc.document, dict) and "status" in exc.document:
                return exc.document
            raise

    def services(self, **filters: Any) -> list[dict[str, Any]]:
        """Return the live services; filters: capability, version, zone, q, limit, offset."""
        return list(self.call("GET", "/services", query=filters)["services"])

    def service(self, name: str) -> dict[str, Any]:
        return dict(self.call("GET", f"/services/{transport.segment(name)}"))

    def instances(self, name: str) -> list[Instance]:
        return discovery.fetch(self.transport, name)

    def resolve(self, name: str, **criteria: Any) -> Instance:
        """Ask Saga to pick an instance now; criteria: zone, version, capability, exclude, sticky."""
        path = f"/services/{transport.segment(name)}/resolve"
        return models.instance_of(name, self.call("GET", path, query=criteria))

    def register(self, name: str, url: str, **fields: Any) -> dict[str, Any]:
        """Register an instance once, without heartbeats; fields as in the API, such as version and ttl."""
        body = {"service_name": name, "service_url": url, **fields}
        return dict(self.call("POST", "/services/register", body=body))

    def registered(self, name: str, url: str, **fields: Any) -> registration.Registration:
        """Return a registration to use in ``with``: it stays alive by heartbeats until the block ends."""
        return registration.Registration(self.transport, name, url, **fields)

    def heartbeat(self, name: str, **fields: Any) -> dict[str, Any]:
        """Send one heartbeat; fields: instance_id, status, version, note."""
        path = f"/services/{transport.segment(name)}/heartbeat"
        return dict(self.call("POST", path, body=fields))

    def deregister(self, name: str, *, instance_id: str | None = None) -> dict[str, Any]:
        path = f"/services/{transport.segment(name)}"
        return dict(self.call("DELETE", path, query={"instance_id": instance_id}))

    def events(
        self, *, after: str | None = None, wait: float = 25, **filters: Any
    ) -> Iterator[dict[str, Any]]:
        """Yield what happens, without end; filters: service and type, each a text or a list.

        Begins with the next event, or after the cursor ``after``. Waits while Saga is away.
        """
        return discovery.follow(self.transport, after=after, wait=wait, filters=filters)

    # --- Updates ----------------------------------------------------------------------------------

    def deploy(
        self, name: str, version: str, *, secret: str | None = None, **fields: Any
    ) -> dict[str, Any]:
        """Deploy a version; fields as in the API: artifact_url, checksum, strategy, reason, …

        ``secret`` is the webhook secret of the service, where one is configured: it signs the call.
        """
        body = {"service_name": name, "version": version, **fields}
        return self._act("/webhooks/deploy", body, secret)

    def upload_artifact(
        self, name: str, path: str, *, report: uploads.Report = lambda _sent, _size: None
    ) -> dict[str, str]:
        """Upload a file to Saga's own store; returns the fields by which ``deploy`` and ``announce`` name it.

        An upload that was interrupted goes on where it was. ``report`` gets the stored and all bytes.
        """
        return uploads.upload(self.transport, name, path, report=report)

    def announce(
        self,
        name: str,
        version: str,
        artifact_url: str,
        *,
        secret: str | None = None,
        **fields: Any,
    ) -> dict[str, Any]:
        """Record a release; the service's policy decides what becomes of it."""
        body = {
            "service_name": name,
            "version": version,
            "artifact_url": artifact_url,
            **fields,
        }
        return self._act("/webhooks/update", body, secret)

    def roll_back(
        self, name: str, version: str | None = None, *, secret: str | None = None, **fields: Any
    ) -> dict[str, Any]:
        """Go back to ``version``, or to the last good one that differs from what runs."""
        body = {"service_name": name, "version": version, **fields}
        return self._act("/webhooks/rollback", body, secret)

    def job(self, job_id: str, *, wait: int = 0) -> Job:
        """Return a job, after a change or ``wait`` seconds (0-60)."""
        path = f"/updates/jobs/{transport.segment(job_id)}"
        document = self.call(
            "GET", path, query={"wait": wait or None}, timeout=self.transport.timeout + wait
        )
        return models.job_of(document)

    def follow_job(self, job_id: str) -> Iterator[Job]:
        """Yield the job at each change, until it is over. Waits while Saga is away."""
        job = self._patient_job(job_id, wait=0)
        yield job
        while not job.is_over:
            after = self._patient_job(job_id, wait=MAX_WAIT_SECONDS)
            if after.document != job.document:
                yield after
            job = after

    def wait_for_job(self, job_id: str) -> Job:
        """Return the job once it is over; its ``status`` says how it ended."""
        *_, last = self.follow_job(job_id)
        return last

    def job_verb(self, job_id: str, verb: str, **fields: Any) -> Job:
        """Apply pause, resume, promote, abort, retry or acknowledge."""
        path = f"/updates/jobs/{transport.segment(job_id)}/{transport.segment(verb)}"
        return models.job_of(self.call("POST", path, body=fields))

    def _patient_job(self, job_id: str, *, wait: int) -> Job:
        pause = 0.5
        while True:
            try:
                return self.job(job_id, wait=wait)
            except (errors.Unreachable, errors.Unavailable, errors.TooManyRequests):
                if pause > 60:
                    raise
                time.sleep(pause)
                pause *= 2

    def _act(self, path: str, body: dict[str, Any], secret: str | None) -> dict[str, Any]:
        present = {key: value for key, value in body.items() if value is not None}
        headers = {"Idempotency-Key": uuid.uuid4().hex}
        if secret:
            headers.update(webhooks.sign(json.dumps(present).encode(), secret=secret))
        return dict(self.call("POST", path, body=present, headers=headers))
