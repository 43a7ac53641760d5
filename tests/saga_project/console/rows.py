"""One row of everything that has a page; the texts that strangers send are up to the test."""

from __future__ import annotations

import json
from dataclasses import dataclass

from registry.models import Event, Instance, Service, Subscription
from tests import factories
from tests.factories import NOW
from updates.models import Approval, Job, Policy, Release, Step
from webhooks.models import Attempt, Configuration, Delivery, Endpoint, InboundCall, receiver_of


@dataclass(frozen=True)
class Rows:
    service: Service
    job: Job
    approval: Approval
    call: InboundCall
    delivery: Delivery
    configuration: Configuration

    def pages(self) -> dict[str, str]:
        """Return the address of each page, by its name in the matrix."""
        return {
            "dashboard": "/admin/",
            "start": "/admin/start/",
            "service": f"/admin/services/{self.service.name}/",
            "deployment": f"/admin/deployments/{self.job.job_id}/",
            "approval": f"/admin/updates/approval/{self.approval.pk}/change/",
            "inbound call": f"/admin/webhooks/inboundcall/{self.call.pk}/change/",
            "delivery": f"/admin/webhooks/delivery/{self.delivery.pk}/change/",
            "configuration": f"/admin/webhooks/configuration/{self.configuration.pk}/change/",
        }


def make(text: str = "plain", *, name: str = "shop") -> Rows:
    service = _service(name, text)
    release = Release.objects.create(
        service=service,
        version="1.1.0",
        artifact_url="https://ci.example/shop.tar.gz",
        notes=text,
        state_reason=text,
        origin="announced",
        recorded_at=NOW,
    )
    return Rows(
        service=service,
        job=_job(service, release, text),
        approval=Approval.objects.create(
            service=service, release=release, requested_at=NOW, requested_by=text[:255], reason=text
        ),
        call=_call(name, text),
        delivery=_delivery(name, text),
        configuration=_configuration(name),
    )


def _service(name: str, text: str) -> Service:
    service = factories.ServiceFactory.create(
        name=name,
        status=Service.Status.PENDING_APPROVAL,
        display_name=text[:255],
        description=text,
        contact_email=text[:320],
        metadata={text[:100]: text},
        notes=text,
        version="1.0.0",
    )
    Instance.objects.create(
        service=service,
        instance_id="one",
        url="http://10.0.0.1/",
        zone=text[:128],
        note=text,
        ttl_seconds=60,
        registered_at=NOW,
        last_heartbeat_at=NOW,
    )
    Subscription.objects.create(service=service, subscriber=text[:128], topics=[text])
    Event.objects.create(
        type="service.registered", service_name=name, occurred_at=NOW, data={text[:100]: text}
    )
    factories.HistoryEntryFactory.create(service_name=name, detail=text, recorded_by=text[:255])
    Policy.objects.create(service=service, requires_second_person=False)
    return service


def _job(service: Service, release: Release, text: str) -> Job:
    job = Job.objects.create(
        job_id=f"deploy-{service.name}-1.1.0-1",
        kind=Job.Kind.DEPLOY,
        service=service,
        release=release,
        version="1.1.0",
        strategy="canary",
        status=Job.Status.PAUSED,
        pause_reason=text,
        error=text,
        requested_by=text[:255],
        created_at=NOW,
        started_at=NOW,
        moves=[{"action": "switch", "target": "one", "wave": 1, "weight": None, "seconds": None}],
    )
    Step.objects.create(
        job=job,
        position=0,
        name="switch",
        target_name=text[:128],
        node=text[:128],
        status=Step.Status.RUNNING,
        message=text,
        started_at=NOW,
    )
    return job


def _call(name: str, text: str) -> InboundCall:
    return InboundCall.objects.create(
        route="health",
        service_name=name,
        message_id=text[:255],
        request_digest="0" * 64,
        request_id=text[:128],
        proof="nothing",
        caller=text[:255],
        headers={"x-text": text},
        body=json.dumps({"service_name": name, "status": "healthy"}) if text == "plain" else text,
        verdict=InboundCall.Verdict.ACCEPTED,
        status=200,
        answer={"message": text},
        received_at=NOW,
    )


def _delivery(name: str, text: str) -> Delivery:
    url = "http://127.0.0.1:9/a-secret-path"
    delivery = Delivery.objects.create(
        kind=Delivery.Kind.NOTIFICATION,
        service_name=name,
        topic="ops",
        url=url,
        receiver=receiver_of(url),
        payload={"message": text},
        status=Delivery.Status.DEAD,
        reason=text,
        next_attempt_at=NOW,
        created_at=NOW,
        finished_at=NOW,
    )
    Attempt.objects.create(
        delivery=delivery, started_at=NOW, duration_ms=7, status=503, error=text, answer=text
    )
    return delivery


def _configuration(name: str) -> Configuration:
    configuration = Configuration.objects.create(
        service=Service.objects.filter(name=name).first(), configured_at=NOW
    )
    Endpoint.objects.create(
        configuration=configuration, channel="ops", url="http://127.0.0.1:9/a-secret-path"
    )
    return configuration
