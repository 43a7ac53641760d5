"""All migrations up to 0.9 in one: a new database needs a tenth of the time."""

import django.db.models.deletion
import uuid
from django.db import migrations, models

from registry.identity import roles

SEE = ["view_*"]
OPERATE = [*SEE, "replay_inboundcall", "replay_delivery"]
GRANTED = {"viewers": SEE, "operators": OPERATE, "approvers": OPERATE, "administrators": ["*"]}


class Migration(migrations.Migration):
    initial = True

    replaces = [
        ("webhooks", "0001_create_the_webhook_tables"),
        ("webhooks", "0002_make_roles"),
        ("webhooks", "0003_recover_from_github"),
        ("webhooks", "0004_let_roles_see_github_hooks"),
        ("webhooks", "0005_refer_to_the_service"),
        ("webhooks", "0006_drop_the_name_of_a_configuration"),
        ("webhooks", "0007_bind_signatures_to_routes"),
        ("webhooks", "0008_reword_help_texts"),
    ]
    dependencies = [
        ("registry", "0001_squashed_0012_remember_encryption_keys"),
    ]

    operations = [
        migrations.CreateModel(
            name="Configuration",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "is_administered",
                    models.BooleanField(
                        default=False,
                        editable=False,
                        help_text="Of the global one: an administrator set it, so that only administrators may change it.",
                    ),
                ),
                (
                    "accepts_global_secret",
                    models.BooleanField(
                        default=False,
                        help_text="The global secret may also sign for this service, although an account owns it.",
                    ),
                ),
                (
                    "requires_timestamp",
                    models.BooleanField(
                        default=False,
                        help_text="Only timestamped signatures count, those of Standard Webhooks.",
                    ),
                ),
                ("sealed_secret", models.TextField(blank=True, editable=False)),
                ("sealed_previous_secret", models.TextField(blank=True, editable=False)),
                (
                    "previous_secret_until",
                    models.DateTimeField(blank=True, editable=False, null=True),
                ),
                ("configured_at", models.DateTimeField()),
                (
                    "service",
                    models.OneToOneField(
                        blank=True,
                        help_text="Empty for the global configuration.",
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="webhook_configuration",
                        to="registry.service",
                    ),
                ),
            ],
            options={
                "ordering": ["service__name"],
            },
        ),
        migrations.CreateModel(
            name="Delivery",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=uuid.uuid4, editable=False, primary_key=True, serialize=False
                    ),
                ),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("event", "Event"),
                            ("notification", "Notification"),
                            ("test", "Test"),
                        ],
                        max_length=12,
                    ),
                ),
                (
                    "event_id",
                    models.BigIntegerField(
                        blank=True, help_text="No foreign key: it may outlive the event.", null=True
                    ),
                ),
                ("service_name", models.CharField(blank=True, db_collation="C", max_length=128)),
                (
                    "topic",
                    models.CharField(help_text="The event's type, or the channel.", max_length=64),
                ),
                ("url", models.CharField(max_length=2048)),
                (
                    "receiver",
                    models.CharField(
                        editable=False,
                        help_text="Digest of the URL: deliveries to one receiver are limited.",
                        max_length=32,
                    ),
                ),
                ("payload", models.JSONField()),
                (
                    "status",
                    models.CharField(
                        choices=[
                            ("pending", "Pending"),
                            ("sending", "Sending"),
                            ("delivered", "Delivered"),
                            ("dead", "Dead"),
                        ],
                        default="pending",
                        max_length=9,
                    ),
                ),
                ("reason", models.TextField(blank=True, help_text="Why it has this status.")),
                (
                    "attempt_count",
                    models.PositiveIntegerField(
                        default=0,
                        help_text="Since it was made or replayed; it decides when to try again.",
                    ),
                ),
                ("next_attempt_at", models.DateTimeField()),
                ("lease_expires_at", models.DateTimeField(blank=True, null=True)),
                ("lease", models.UUIDField(blank=True, editable=False, null=True)),
                ("created_at", models.DateTimeField()),
                ("finished_at", models.DateTimeField(blank=True, null=True)),
                (
                    "subscription",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to="registry.subscription",
                    ),
                ),
            ],
            options={
                "verbose_name_plural": "deliveries",
                "ordering": ["-created_at", "id"],
                "permissions": [("replay_delivery", "Can replay deliveries")],
            },
        ),
        migrations.CreateModel(
            name="Attempt",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("started_at", models.DateTimeField()),
                ("duration_ms", models.PositiveIntegerField()),
                (
                    "status",
                    models.PositiveSmallIntegerField(
                        help_text="Empty where nothing answered.", null=True
                    ),
                ),
                ("error", models.TextField(blank=True)),
                ("answer", models.TextField(blank=True, help_text="The first 2 kB of it.")),
                (
                    "delivery",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="attempts",
                        to="webhooks.delivery",
                    ),
                ),
            ],
            options={
                "ordering": ["delivery_id", "started_at", "id"],
            },
        ),
        migrations.CreateModel(
            name="Endpoint",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("channel", models.CharField(db_collation="C", max_length=64)),
                ("url", models.CharField(max_length=2048)),
                (
                    "disabled_at",
                    models.DateTimeField(
                        blank=True, help_text="Set when the receiver answered 410.", null=True
                    ),
                ),
                (
                    "configuration",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="endpoints",
                        to="webhooks.configuration",
                    ),
                ),
            ],
            options={
                "ordering": ["configuration_id", "channel"],
            },
        ),
        migrations.AddField(
            model_name="delivery",
            name="endpoint",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="+",
                to="webhooks.endpoint",
            ),
        ),
        migrations.CreateModel(
            name="GitHubHook",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("repository", models.CharField(help_text="owner/name", max_length=255)),
                ("hook_id", models.PositiveBigIntegerField()),
                ("api_url", models.CharField(default="https://api.github.com", max_length=2048)),
                ("sealed_token", models.TextField(blank=True, editable=False)),
                ("is_enabled", models.BooleanField(default=True)),
                ("checked_at", models.DateTimeField(blank=True, editable=False, null=True)),
                ("error", models.TextField(blank=True, editable=False)),
            ],
            options={
                "verbose_name": "GitHub hook",
                "ordering": ["repository", "hook_id"],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("api_url", "repository", "hook_id"), name="one_row_per_github_hook"
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="InboundCall",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=uuid.uuid4, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("route", models.CharField(max_length=16)),
                ("service_name", models.CharField(blank=True, db_collation="C", max_length=128)),
                ("message_id", models.CharField(blank=True, max_length=255)),
                ("request_digest", models.CharField(max_length=64)),
                (
                    "signed_digest",
                    models.CharField(
                        blank=True,
                        help_text="SHA-256 of a body whose signature covers nothing else; another route refuses it.",
                        max_length=64,
                    ),
                ),
                ("request_id", models.CharField(blank=True, max_length=128)),
                (
                    "proof",
                    models.CharField(
                        help_text="What the call has shown of the secret.", max_length=10
                    ),
                ),
                ("caller", models.CharField(blank=True, max_length=255)),
                ("headers", models.JSONField(default=dict)),
                ("body", models.TextField(blank=True)),
                (
                    "is_whole",
                    models.BooleanField(
                        default=True, help_text="Only a call that was kept whole can be replayed."
                    ),
                ),
                (
                    "verdict",
                    models.CharField(
                        choices=[
                            ("accepted", "Accepted"),
                            ("repeated", "Repeated"),
                            ("refused", "Refused"),
                        ],
                        max_length=8,
                    ),
                ),
                ("status", models.PositiveSmallIntegerField(null=True)),
                ("answer", models.JSONField(default=dict)),
                ("received_at", models.DateTimeField(db_index=True)),
                (
                    "replay_of",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="replays",
                        to="webhooks.inboundcall",
                    ),
                ),
            ],
            options={
                "ordering": ["-received_at", "id"],
                "permissions": [("replay_inboundcall", "Can replay inbound calls")],
            },
        ),
        migrations.AddConstraint(
            model_name="configuration",
            constraint=models.UniqueConstraint(
                fields=("service",), name="one_global_configuration", nulls_distinct=False
            ),
        ),
        migrations.AddConstraint(
            model_name="configuration",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("sealed_previous_secret", ""),
                    ("previous_secret_until__isnull", False),
                    _connector="OR",
                ),
                name="previous_secret_has_an_end",
            ),
        ),
        migrations.AddConstraint(
            model_name="endpoint",
            constraint=models.UniqueConstraint(
                fields=("configuration", "channel"), name="one_endpoint_per_channel"
            ),
        ),
        migrations.AddIndex(
            model_name="delivery",
            index=models.Index(
                models.F("receiver"),
                models.F("next_attempt_at"),
                condition=models.Q(("status", "pending")),
                name="deliveries_due",
            ),
        ),
        migrations.AddIndex(
            model_name="delivery",
            index=models.Index(
                condition=models.Q(("status", "sending")),
                fields=["lease_expires_at"],
                name="deliveries_sending",
            ),
        ),
        migrations.AddIndex(
            model_name="delivery",
            index=models.Index(fields=["status", "-created_at"], name="deliveries_by_status"),
        ),
        migrations.AddIndex(
            model_name="delivery",
            index=models.Index(
                fields=["service_name", "-created_at"], name="deliveries_of_service"
            ),
        ),
        migrations.AddIndex(
            model_name="delivery",
            index=models.Index(fields=["created_at"], name="deliveries_by_age"),
        ),
        migrations.AddConstraint(
            model_name="delivery",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(
                        ("lease__isnull", False),
                        ("lease_expires_at__isnull", False),
                        ("status", "sending"),
                    ),
                    models.Q(
                        models.Q(("status", "sending"), _negated=True),
                        ("lease__isnull", True),
                        ("lease_expires_at__isnull", True),
                    ),
                    _connector="OR",
                ),
                name="only_what_is_being_sent_has_a_lease",
            ),
        ),
        migrations.AddIndex(
            model_name="inboundcall",
            index=models.Index(fields=["service_name", "-received_at"], name="calls_of_service"),
        ),
        migrations.AddIndex(
            model_name="inboundcall",
            index=models.Index(
                condition=models.Q(("signed_digest", ""), _negated=True),
                fields=["service_name", "signed_digest"],
                name="signed_bodies_of_service",
            ),
        ),
        migrations.AddConstraint(
            model_name="inboundcall",
            constraint=models.UniqueConstraint(
                condition=models.Q(
                    ("verdict", "accepted"), models.Q(("message_id", ""), _negated=True)
                ),
                fields=("service_name", "message_id"),
                name="a_message_acts_once",
            ),
        ),
        migrations.RunPython(roles.granting("webhooks", GRANTED), migrations.RunPython.noop),
    ]
