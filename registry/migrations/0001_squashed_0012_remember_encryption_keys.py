"""All migrations up to 0.9 in one: a new database needs a tenth of the time."""

import django.contrib.postgres.fields
import django.db.models.deletion
import django.db.models.functions.comparison
import uuid
from django.db import migrations, models

from registry.identity import roles
from registry.models import triggers

SEE = ["view_*"]
OPERATE = [*SEE, "change_service", "deregister_service", "change_subscription"]
GRANTED = {
    "viewers": SEE,
    "operators": OPERATE,
    "approvers": [*OPERATE, "approve_service"],
    "administrators": ["*"],
}


class Migration(migrations.Migration):
    initial = True

    replaces = [
        ("registry", "0001_initial"),
        ("registry", "0002_remember_what_was_purged"),
        ("registry", "0003_remember_the_last_report"),
        ("registry", "0004_make_roles"),
        ("registry", "0005_callersrevision"),
        ("registry", "0006_note_changes_of_callers"),
        ("registry", "0007_accept_subscriptions"),
        ("registry", "0008_hold_work_by_leases"),
        ("registry", "0009_allow_rollouts_without_a_share"),
        ("registry", "0010_let_subscriptions_cover_globs"),
        ("registry", "0011_reword_help_texts"),
        ("registry", "0012_remember_encryption_keys"),
    ]
    dependencies = [
        ("contenttypes", "0002_remove_content_type_name"),
        ("auth", "0012_alter_user_first_name_max_length"),
        ("axes", "0010_accessattemptexpiration"),
        ("django_celery_beat", "0019_alter_periodictasks_options"),
    ]

    operations = [
        migrations.CreateModel(
            name="ServiceAccount",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("name", models.CharField(max_length=128, unique=True)),
                ("description", models.TextField(blank=True)),
                (
                    "is_internal",
                    models.BooleanField(
                        default=False, help_text="Its services are approved at once."
                    ),
                ),
                ("is_active", models.BooleanField(default=True)),
                (
                    "scopes",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(max_length=32),
                        blank=True,
                        default=list,
                        size=None,
                    ),
                ),
                (
                    "services",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(max_length=128),
                        blank=True,
                        default=list,
                        help_text="The only services that it may change; empty: its own and those without an owner.",
                        size=None,
                    ),
                ),
                ("created_at", models.DateTimeField(auto_now_add=True)),
            ],
            options={
                "ordering": ["name"],
            },
        ),
        migrations.CreateModel(
            name="Event",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "transaction",
                    models.BigIntegerField(
                        db_default=django.db.models.functions.comparison.Cast(
                            django.db.models.functions.comparison.Cast(
                                models.Func(function="pg_current_xact_id"), models.TextField()
                            ),
                            models.BigIntegerField(),
                        ),
                        editable=False,
                    ),
                ),
                ("type", models.CharField(max_length=64)),
                ("service_name", models.CharField(blank=True, db_collation="C", max_length=128)),
                ("occurred_at", models.DateTimeField(db_index=True)),
                ("data", models.JSONField(default=dict)),
            ],
            options={
                "ordering": ["-transaction", "-id"],
                "indexes": [
                    models.Index(models.F("transaction"), models.F("id"), name="event_cursor"),
                    models.Index(
                        models.F("service_name"),
                        models.F("transaction"),
                        models.F("id"),
                        name="event_of_service",
                    ),
                    models.Index(
                        models.F("type"),
                        models.F("transaction"),
                        models.F("id"),
                        name="event_of_type",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="EventHorizon",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("transaction", models.BigIntegerField()),
                ("event", models.BigIntegerField()),
            ],
            options={
                "constraints": [
                    models.CheckConstraint(condition=models.Q(("id", 1)), name="one_horizon")
                ],
            },
        ),
        migrations.CreateModel(
            name="IdempotencyKey",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "account",
                    models.CharField(
                        blank=True, help_text="Empty for an anonymous caller.", max_length=255
                    ),
                ),
                ("route", models.CharField(max_length=512)),
                ("key", models.CharField(max_length=255)),
                ("request_digest", models.CharField(max_length=64)),
                ("status", models.PositiveSmallIntegerField(null=True)),
                ("body", models.TextField(blank=True)),
                ("created_at", models.DateTimeField(db_index=True)),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        fields=("account", "route", "key"), name="one_answer_per_idempotency_key"
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="Service",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("service_id", models.UUIDField(default=uuid.uuid4, editable=False, unique=True)),
                ("name", models.CharField(db_collation="C", max_length=128, unique=True)),
                ("display_name", models.CharField(blank=True, max_length=255)),
                ("description", models.TextField(blank=True)),
                ("app_id", models.CharField(blank=True, max_length=255)),
                ("category", models.CharField(blank=True, max_length=255)),
                ("contact_email", models.CharField(blank=True, max_length=320)),
                ("health_check_url", models.CharField(blank=True, max_length=2048)),
                ("capabilities", models.JSONField(blank=True, default=list)),
                ("endpoints", models.JSONField(blank=True, default=dict)),
                ("metadata", models.JSONField(blank=True, default=dict)),
                ("heartbeat_interval_seconds", models.PositiveIntegerField(default=30)),
                ("version", models.CharField(blank=True, max_length=128)),
                ("previous_version", models.CharField(blank=True, max_length=128)),
                (
                    "status",
                    models.CharField(
                        choices=[
                            ("pending_approval", "Pending Approval"),
                            ("active", "Active"),
                            ("degraded", "Degraded"),
                            ("rejected", "Rejected"),
                            ("deregistered", "Deregistered"),
                        ],
                        db_index=True,
                        default="pending_approval",
                        max_length=20,
                    ),
                ),
                ("status_reason", models.TextField(blank=True)),
                (
                    "health_status",
                    models.CharField(
                        choices=[
                            ("healthy", "Healthy"),
                            ("degraded", "Degraded"),
                            ("unreachable", "Unreachable"),
                        ],
                        db_index=True,
                        default="healthy",
                        max_length=12,
                    ),
                ),
                ("consecutive_misses", models.PositiveIntegerField(default=0)),
                ("is_auto_approved", models.BooleanField(default=False)),
                ("approved_at", models.DateTimeField(blank=True, null=True)),
                ("approved_by", models.CharField(blank=True, max_length=255)),
                ("last_heartbeat_at", models.DateTimeField(blank=True, null=True)),
                (
                    "reported_at",
                    models.DateTimeField(
                        blank=True,
                        help_text="What a webhook last reported of it; an older report changes nothing.",
                        null=True,
                    ),
                ),
                ("registered_at", models.DateTimeField(db_index=True)),
                ("updated_at", models.DateTimeField()),
                ("canary_version", models.CharField(blank=True, max_length=128)),
                ("canary_percent", models.PositiveSmallIntegerField(blank=True, null=True)),
                (
                    "notes",
                    models.TextField(blank=True, help_text="For staff; no program reads it."),
                ),
                (
                    "revision",
                    models.BigIntegerField(
                        default=1,
                        editable=False,
                        help_text="Grows with every change that readers must see.",
                    ),
                ),
                (
                    "account",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="owned",
                        to="registry.serviceaccount",
                    ),
                ),
            ],
            options={
                "ordering": ["name"],
                "permissions": [
                    ("approve_service", "Can approve and reject services"),
                    ("deregister_service", "Can deregister services"),
                ],
            },
        ),
        migrations.CreateModel(
            name="Subscription",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=uuid.uuid4, editable=False, primary_key=True, serialize=False
                    ),
                ),
                (
                    "service_glob",
                    models.CharField(
                        blank=True,
                        help_text="Names of services such as pay*; * stands for any characters.",
                        max_length=128,
                    ),
                ),
                ("subscriber", models.CharField(max_length=128)),
                ("callback_url", models.CharField(blank=True, max_length=2048)),
                ("topics", models.JSONField(blank=True, default=list)),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("pending", "Pending"),
                            ("active", "Active"),
                            ("suspended", "Suspended"),
                            ("cancelled", "Cancelled"),
                        ],
                        db_index=True,
                        default="active",
                        max_length=10,
                    ),
                ),
                ("sealed_secret", models.TextField(blank=True, editable=False)),
                (
                    "is_accepted",
                    models.BooleanField(
                        default=False,
                        help_text="The service's owner accepted it: it keeps the service from being deregistered.",
                    ),
                ),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("updated_at", models.DateTimeField(auto_now=True)),
                (
                    "account",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to="registry.serviceaccount",
                    ),
                ),
                (
                    "service",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="subscriptions",
                        to="registry.service",
                    ),
                ),
            ],
            options={
                "ordering": ["created_at", "id"],
            },
        ),
        migrations.CreateModel(
            name="Token",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("name", models.CharField(blank=True, max_length=128)),
                ("prefix", models.CharField(db_index=True, max_length=12)),
                ("digest", models.CharField(max_length=64, unique=True)),
                (
                    "scopes",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(max_length=32), default=list, size=None
                    ),
                ),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("last_used_at", models.DateTimeField(blank=True, null=True)),
                ("expires_at", models.DateTimeField(blank=True, null=True)),
                ("revoked_at", models.DateTimeField(blank=True, null=True)),
                (
                    "account",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="tokens",
                        to="registry.serviceaccount",
                    ),
                ),
            ],
            options={
                "ordering": ["-created_at"],
            },
        ),
        migrations.CreateModel(
            name="Instance",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "instance_id",
                    models.CharField(db_collation="C", default="default", max_length=128),
                ),
                ("url", models.CharField(max_length=2048)),
                ("capabilities", models.JSONField(blank=True, default=list)),
                ("version", models.CharField(blank=True, max_length=128)),
                ("metadata", models.JSONField(blank=True, default=dict)),
                ("health_check_url", models.CharField(blank=True, max_length=2048)),
                ("weight", models.PositiveIntegerField(default=1)),
                ("zone", models.CharField(blank=True, max_length=128)),
                ("ttl_seconds", models.PositiveIntegerField()),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("live", "Live"),
                            ("expired", "Expired"),
                            ("deregistered", "Deregistered"),
                        ],
                        default="live",
                        max_length=12,
                    ),
                ),
                (
                    "health",
                    models.CharField(
                        choices=[
                            ("passing", "Passing"),
                            ("warning", "Warning"),
                            ("critical", "Critical"),
                        ],
                        default="passing",
                        max_length=8,
                    ),
                ),
                ("note", models.TextField(blank=True)),
                (
                    "is_draining",
                    models.BooleanField(
                        default=False,
                        help_text="Left out of lookups while a deployment works on it.",
                    ),
                ),
                ("registered_at", models.DateTimeField()),
                (
                    "last_heartbeat_at",
                    models.DateTimeField(help_text="As last flushed; presence knows better."),
                ),
                ("gone_at", models.DateTimeField(blank=True, null=True)),
                (
                    "service",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="instances",
                        to="registry.service",
                    ),
                ),
            ],
            options={
                "ordering": ["service_id", "instance_id"],
                "indexes": [
                    models.Index(
                        condition=models.Q(("state", "live")),
                        fields=["service"],
                        name="live_instances",
                    )
                ],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("service", "instance_id"), name="one_row_per_instance"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("weight__gte", 0), ("weight__lte", 65535)),
                        name="weight_fits_srv",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("ttl_seconds__range", (5, 259200))),
                        name="ttl_between_5_s_and_3_days",
                    ),
                ],
            },
        ),
        migrations.AddConstraint(
            model_name="service",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("canary_percent__isnull", True),
                    models.Q(
                        ("canary_percent__range", (0, 100)),
                        models.Q(("canary_version", ""), _negated=True),
                    ),
                    _connector="OR",
                ),
                name="canary_has_version_and_share",
            ),
        ),
        migrations.AddConstraint(
            model_name="subscription",
            constraint=models.CheckConstraint(
                condition=models.Q(("service", None), ("service_glob", ""), _connector="XOR"),
                name="subscription_to_a_service_or_a_glob",
            ),
        ),
        migrations.RunPython(roles.granting("registry", GRANTED), migrations.RunPython.noop),
        migrations.RunPython(
            roles.granting("auth", {"administrators": ["*_user", "*_group", "view_permission"]}),
            migrations.RunPython.noop,
        ),
        migrations.RunPython(
            roles.granting("django_celery_beat", {"administrators": ["*"]}),
            migrations.RunPython.noop,
        ),
        migrations.RunPython(
            roles.granting("axes", {"administrators": ["*"]}), migrations.RunPython.noop
        ),
        # Saga's own tables come after the roles, which grant nothing on them.
        migrations.CreateModel(
            name="CallersRevision",
            fields=[
                ("id", models.PositiveSmallIntegerField(primary_key=True, serialize=False)),
                ("value", models.UUIDField()),
            ],
        ),
        migrations.CreateModel(
            name="EncryptionKey",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("fingerprint", models.CharField(max_length=12, unique=True)),
                ("recorded_at", models.DateTimeField(auto_now_add=True)),
            ],
        ),
        migrations.CreateModel(
            name="WorkSlot",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("work", models.CharField(max_length=32)),
                ("place", models.PositiveSmallIntegerField(default=0)),
                (
                    "holder",
                    models.CharField(
                        help_text="Host and process that have the slot.", max_length=255
                    ),
                ),
                ("token", models.UUIDField()),
                ("expires_at", models.DateTimeField()),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        fields=("work", "place"), name="one_holder_per_work_slot"
                    )
                ],
            },
        ),
        migrations.RunSQL(triggers.CALLERS_REVISION.create, triggers.CALLERS_REVISION.drop),
    ]
