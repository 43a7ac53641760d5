"""Items of the document that have no resource of this form."""

from __future__ import annotations

from typing import Any

from django.db.models import Q
from rest_framework import serializers

from registry import names
from registry.api.accounts import AccountField, AccountShape
from registry.api.configured import ServiceNameField
from registry.api.health_checks import HealthCheckShape
from registry.api.subscriptions import MAX_TOPICS, TopicField, check_topics
from registry.models import MAX_MANAGER_LENGTH, ManagedObject, Service, Subscription
from saga_project.shared import labels, rules
from saga_project.shared.api import fields, resources
from updates.api.calendar import FreezeShape, WindowShape
from updates.api.credentials import CredentialShape
from updates.api.policies import PolicyShape, SelectorPolicyShape, SkipShape
from updates.api.sources import SourceFields
from updates.api.targets import TargetShape
from updates.models import Source
from webhooks.api.github_hooks import GitHubHookShape
from webhooks.api.rules import NotificationRuleShape
from webhooks.models import Configuration, Endpoint
from webhooks.outbound import channels

MAX_ITEMS = 10_000


class DeclaredServiceShape(resources.RowShape):
    name = fields.NameField(max_length=128)
    account = AccountField(required=False, allow_null=True, help_text="The owner.")
    labels = serializers.DictField(
        child=fields.TextField(max_length=63, allow_blank=True),
        required=False,
        help_text='Such as {"env": "prod"}.',
    )

    class Meta:
        model = Service
        fields = (
            "name",
            "account",
            "display_name",
            "description",
            "category",
            "contact_email",
            "labels",
            "notes",
        )

    def validate_labels(self, value: dict[str, str]) -> dict[str, str]:
        return labels.check(value)

    def validate_name(self, value: str) -> str:
        return names.check_service_name(value)


class DeclaredSubscriptionShape(resources.StrictShape):
    """As ``/subscriptions`` takes it, with what its owner decides."""

    id = serializers.UUIDField(
        required=False,
        help_text="Which one, where a subscriber has several to a service; a new one gets it.",
    )
    service_name = fields.TextField(
        rule=rules.SERVICE_NAME_OR_GLOB,
        help_text="A service, or `*` and patterns such as `pay*` for many.",
    )
    subscriber = fields.TextField(max_length=128)
    callback_url = fields.UrlField(required=False, or_empty=True)
    topics = serializers.ListField(child=TopicField(), required=False, max_length=MAX_TOPICS)
    state = serializers.ChoiceField(
        choices=["active", "pending", "suspended"],
        required=False,
        help_text="Default: active. One that begins pending may be activated by hand.",
    )
    accepted = resources.SwitchField(
        required=False, help_text="It keeps the service from being deregistered."
    )
    account = AccountField(
        required=False, allow_null=True, help_text="The subscriber's account; null: none."
    )
    secret = fields.TextField(
        write_only=True,
        required=False,
        max_length=512,
        help_text="Signs what the callback gets. Kept when absent; without one, one is made.",
    )

    def validate_topics(self, value: list[str]) -> list[str]:
        return check_topics(value)

    def to_representation(self, instance: Subscription) -> dict[str, Any]:
        return {
            "id": str(instance.pk),
            "service_name": instance.service_name,
            "subscriber": instance.subscriber,
            "callback_url": instance.callback_url,
            "topics": instance.topics,
            "state": instance.state,
            "accepted": instance.is_accepted,
            "account": instance.account.name if instance.account is not None else None,
        }


class DeclaredSourceShape(SourceFields, resources.RowShape):
    service_name = ServiceNameField(source="service")

    class Meta:
        model = Source
        fields = ("service_name", "kind", *SourceFields().fields)


class DeclaredCredentialShape(CredentialShape):
    secret = fields.TextField(
        write_only=True, required=False, max_length=4096, help_text="Kept when absent."
    )


class DeclaredWebhookShape(resources.RowShape):
    service_name = ServiceNameField(
        source="service", required=False, allow_null=True, help_text="Null: the global one."
    )
    endpoints = serializers.DictField(
        child=fields.UrlField(max_length=2048), required=False, help_text="Address by channel."
    )
    accept_global_secret = resources.SwitchField(source="accepts_global_secret", required=False)
    require_timestamp = resources.SwitchField(source="requires_timestamp", required=False)
    secret = fields.TextField(
        write_only=True, required=False, max_length=512, help_text="Kept when absent."
    )

    class Meta:
        model = Configuration
        fields = (
            "service_name",
            "endpoints",
            "accept_global_secret",
            "require_timestamp",
            "secret",
        )

    def to_representation(self, instance: Configuration) -> dict[str, Any]:
        rows = instance.endpoints.exclude(described_apart()).order_by("channel")
        return {
            "service_name": instance.service_name or None,
            "endpoints": {row.channel: row.url for row in rows},
            "accept_global_secret": instance.accepts_global_secret,
            "require_timestamp": instance.requires_timestamp,
        }


def described_apart() -> Q:
    """Return what selects the channels of the section ``channels``: more than an address, or made by it."""
    is_plain = Q(format="", sealed_secret="", sealed_signing_secret="", options={})
    marks = ManagedObject.objects.filter(model=Endpoint._meta.label_lower)
    return ~is_plain | Q(pk__in=marks.values("object_id"))


class DeclaredChannelShape(resources.StrictShape):
    """As ``/channels`` takes it."""

    service_name = ServiceNameField(
        source="service", required=False, allow_null=True, help_text="Null: for all services."
    )
    channel = fields.TextField(max_length=64)
    url = fields.TextField(required=False, max_length=2048, help_text="Or mailto: with addresses.")
    format = serializers.ChoiceField(choices=channels.ALL_FORMATS, required=False)
    options = serializers.DictField(required=False)
    secret = fields.TextField(
        write_only=True, required=False, max_length=4096, help_text="Kept when absent."
    )
    signing_secret = fields.TextField(
        write_only=True, required=False, max_length=4096, help_text="Kept when absent."
    )

    def to_representation(self, instance: Endpoint) -> dict[str, Any]:
        shown = {
            "service_name": instance.configuration.service_name or None,
            "channel": instance.channel,
            "url": instance.url,
            "options": instance.options,
        }
        return {**shown, "format": instance.format} if instance.format else shown


class DocumentShape(resources.StrictShape):
    """The whole document; a section that is left out is empty."""

    managed_by = fields.TextField(
        required=False,
        max_length=MAX_MANAGER_LENGTH,
        help_text="The name of the file: only rows that carry it are taken away. Default: apply.",
    )
    accounts = AccountShape(many=True, required=False)
    services = DeclaredServiceShape(many=True, required=False)
    subscriptions = DeclaredSubscriptionShape(many=True, required=False)
    checks = HealthCheckShape(many=True, required=False)
    policies = PolicyShape(many=True, required=False)
    selector_policies = SelectorPolicyShape(many=True, required=False)
    sources = DeclaredSourceShape(many=True, required=False)
    targets = TargetShape(many=True, required=False)
    windows = WindowShape(many=True, required=False)
    freezes = FreezeShape(many=True, required=False)
    skips = SkipShape(many=True, required=False)
    credentials = DeclaredCredentialShape(many=True, required=False)
    github_hooks = GitHubHookShape(many=True, required=False)
    webhooks = DeclaredWebhookShape(many=True, required=False)
    channels = DeclaredChannelShape(many=True, required=False)
    notification_rules = NotificationRuleShape(many=True, required=False)


class OutlineShape(resources.StrictShape):
    """The document before its items are read: each is read once those that it names exist."""

    managed_by = fields.TextField(required=False, max_length=MAX_MANAGER_LENGTH)

    def get_fields(self) -> dict[str, Any]:
        sections = [str(name) for name in DocumentShape().fields]
        items: dict[str, Any] = {
            name: serializers.ListField(
                child=serializers.DictField(), required=False, max_length=MAX_ITEMS
            )
            for name in sections
            if name != "managed_by"
        }
        return {**super().get_fields(), **items}
