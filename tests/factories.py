"""Rows for tests, with nothing in them that a test should have said itself; grouped by app."""

from __future__ import annotations

import datetime as dt
import hashlib

import factory
from factory import declarations

from registry.models import Instance, Service, ServiceAccount, Subscription
from updates import models as updates
from webhooks import models as webhooks

NOW = dt.datetime(2026, 3, 2, 12, 0, tzinfo=dt.UTC)

# --- Registry -------------------------------------------------------------------------------------


class ServiceFactory(factory.django.DjangoModelFactory[Service]):
    class Meta:
        model = Service

    name = declarations.Sequence(lambda number: f"service-{number}")
    status = Service.Status.ACTIVE
    registered_at = NOW
    updated_at = NOW


class InstanceFactory(factory.django.DjangoModelFactory[Instance]):
    class Meta:
        model = Instance

    service = declarations.SubFactory(ServiceFactory)
    url = "http://127.0.0.1:9000"
    ttl_seconds = 60
    registered_at = NOW
    last_heartbeat_at = NOW


# --- Updates --------------------------------------------------------------------------------------


class ReleaseFactory(factory.django.DjangoModelFactory[updates.Release]):
    class Meta:
        model = updates.Release

    service = declarations.SubFactory(ServiceFactory)
    version = "1.3.0"
    artifact_url = declarations.LazyAttribute(
        lambda own: f"https://ci.example/{own.version}.tar.gz"
    )
    checksum = "sha256:" + "a" * 64
    origin = "announced"
    published_at = NOW
    recorded_at = NOW


class UploadFactory(factory.django.DjangoModelFactory[updates.Upload]):
    """One byte that is complete."""

    class Meta:
        model = updates.Upload

    service = declarations.SubFactory(ServiceFactory)
    sha256 = hashlib.sha256(b"x").hexdigest()
    name = "shop.tar.gz"
    size = received = 1
    created_at = used_at = completed_at = NOW


class NodeFactory(factory.django.DjangoModelFactory[updates.Node]):
    class Meta:
        model = updates.Node

    name = declarations.Sequence(lambda number: f"web{number}")
    account = declarations.LazyAttribute(
        lambda node: ServiceAccount.objects.create(name=f"node.{node.name}")
    )
    joined_at = NOW


class JobFactory(factory.django.DjangoModelFactory[updates.Job]):
    class Meta:
        model = updates.Job

    job_id = declarations.Sequence(lambda number: f"deploy-payment-1.3.0-{number}")
    kind = updates.Job.Kind.DEPLOY
    service = declarations.SubFactory(ServiceFactory)
    version = "1.3.0"
    strategy = "rolling"
    request_digest = "0" * 64
    created_at = NOW


class StepFactory(factory.django.DjangoModelFactory[updates.Step]):
    class Meta:
        model = updates.Step

    job = declarations.SubFactory(JobFactory)
    position = 1
    name = "verify"


class ApprovalFactory(factory.django.DjangoModelFactory[updates.Approval]):
    class Meta:
        model = updates.Approval

    service = declarations.SelfAttribute("release.service")
    release = declarations.SubFactory(ReleaseFactory)
    requested_at = NOW


class HistoryEntryFactory(factory.django.DjangoModelFactory[updates.HistoryEntry]):
    class Meta:
        model = updates.HistoryEntry

    service_name = "payment-service"
    kind = updates.HistoryEntry.Kind.DEPLOY
    status = updates.HistoryEntry.Status.SUCCESS
    old_version = "1.2.3"
    new_version = "1.3.0"
    running_version = declarations.SelfAttribute("new_version")
    timestamp = NOW
    duration_seconds = 45


class SourceFactory(factory.django.DjangoModelFactory[updates.Source]):
    class Meta:
        model = updates.Source

    service = declarations.SubFactory(ServiceFactory)


class PolicyFactory(factory.django.DjangoModelFactory[updates.Policy]):
    class Meta:
        model = updates.Policy

    service = declarations.SubFactory(ServiceFactory)


# --- Webhooks -------------------------------------------------------------------------------------


class SubscriptionFactory(factory.django.DjangoModelFactory[Subscription]):
    class Meta:
        model = Subscription

    service = declarations.SubFactory(ServiceFactory)
    subscriber = "billing"
    callback_url = "http://127.0.0.1:1/hook"


class ConfigurationFactory(factory.django.DjangoModelFactory[webhooks.Configuration]):
    class Meta:
        model = webhooks.Configuration

    service = declarations.SubFactory(ServiceFactory, name="payment-service")
    configured_at = NOW


class EndpointFactory(factory.django.DjangoModelFactory[webhooks.Endpoint]):
    class Meta:
        model = webhooks.Endpoint

    configuration = declarations.SubFactory(ConfigurationFactory)
    channel = "pager"
    url = "http://127.0.0.1:1/hook"


class NotificationRuleFactory(factory.django.DjangoModelFactory[webhooks.NotificationRule]):
    """Of every service and every event, to the channel pager, at once."""

    class Meta:
        model = webhooks.NotificationRule

    name = declarations.Sequence(lambda number: f"rule-{number}")
    event_types = ("*",)
    channels = ("pager",)
    group_seconds = 0


class AlertFactory(factory.django.DjangoModelFactory[webhooks.Alert]):
    """An open problem that was reported."""

    class Meta:
        model = webhooks.Alert

    rule = declarations.SubFactory(NotificationRuleFactory)
    service_name = "payment-service"
    problem = "expired"
    event_type = "service.expired"
    severity = webhooks.Severity.ERROR
    text = "Instance default expired."
    opened_at = NOW
    sent_at = NOW


class ReceiverFactory(factory.django.DjangoModelFactory[webhooks.Receiver]):
    """A receiver that is paused, and is probed now."""

    class Meta:
        model = webhooks.Receiver

    url = "http://127.0.0.1:1/hook"
    digest = declarations.LazyAttribute(lambda own: webhooks.receiver_of(own.url))
    service_name = "payment-service"
    failures = 10
    failing_since = NOW
    paused_at = NOW
    probe_at = NOW


class DeliveryFactory(factory.django.DjangoModelFactory[webhooks.Delivery]):
    """A delivery without a subscription, long overdue."""

    class Meta:
        model = webhooks.Delivery

    kind = webhooks.Delivery.Kind.NOTIFICATION
    service_name = "payment-service"
    topic = "pager"
    url = "http://127.0.0.1:1/hook"
    receiver = declarations.LazyAttribute(lambda own: webhooks.receiver_of(own.url))
    payload = declarations.Sequence(lambda number: {"number": number})
    next_attempt_at = NOW
    created_at = NOW


class InboundCallFactory(factory.django.DjangoModelFactory[webhooks.InboundCall]):
    """A lifecycle call that was accepted and kept whole."""

    class Meta:
        model = webhooks.InboundCall

    route = "lifecycle"
    service_name = "payment-service"
    request_digest = "0" * 64
    proof = "nothing"
    body = declarations.LazyAttribute(
        lambda own: f'{{"service_name": "{own.service_name}", "event": "crashed"}}'
    )
    verdict = webhooks.InboundCall.Verdict.ACCEPTED
    status = 200
    received_at = NOW
