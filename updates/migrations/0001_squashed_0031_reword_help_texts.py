"""All migrations up to 0.9 in one: a new database needs a tenth of the time."""

import django.contrib.postgres.fields
import django.db.models.deletion
import updates.models.calendar
from django.db import migrations, models

from registry.identity import roles
from updates.models import triggers

SEE = ["view_*"]
OPERATE = [*SEE, "add_job", "operate_job", "*_hold"]
GRANTED = {
    "viewers": SEE,
    "operators": OPERATE,
    "approvers": [
        *OPERATE,
        "decide_approval",
        "acknowledge_job",
        "move_release",
        "override_calendar",
    ],
    "administrators": ["*"],
}
VACUUM_OFTEN = "ALTER TABLE updates_historyentry SET (autovacuum_vacuum_insert_scale_factor = 0.01)"
VACUUM_AS_USUAL = "ALTER TABLE updates_historyentry RESET (autovacuum_vacuum_insert_scale_factor)"


class Migration(migrations.Migration):
    initial = True

    replaces = [
        ("updates", "0001_initial"),
        ("updates", "0002_append_only"),
        ("updates", "0003_deployments"),
        ("updates", "0004_mark_prereleases"),
        ("updates", "0005_tally_history"),
        ("updates", "0006_keep_the_tally"),
        ("updates", "0007_follow_the_plan_of_a_job"),
        ("updates", "0008_ask_two_persons"),
        ("updates", "0009_make_roles"),
        ("updates", "0010_let_callers_leave"),
        ("updates", "0011_tally_jobs"),
        ("updates", "0012_keep_the_tally_of_jobs"),
        ("updates", "0013_find_rollbacks"),
        ("updates", "0014_cover_statistics"),
        ("updates", "0015_declare_environments_of_commands"),
        ("updates", "0016_keep_credentials_of_hosts"),
        ("updates", "0017_grant_credentials"),
        ("updates", "0018_give_targets_hooks"),
        ("updates", "0019_ask_for_rollbacks"),
        ("updates", "0020_run_containers_and_install_scripts"),
        ("updates", "0021_read_versions_by_scheme"),
        ("updates", "0022_run_systemd_units"),
        ("updates", "0023_watch_switched_targets"),
        ("updates", "0024_add_gitlab_and_gitea"),
        ("updates", "0025_add_slots_and_selections"),
        ("updates", "0026_let_pauses_expire"),
        ("updates", "0027_add_package_sources"),
        ("updates", "0028_let_waves_tolerate_failures"),
        ("updates", "0029_measure_deployments"),
        ("updates", "0030_list_instances_of_targets"),
        ("updates", "0031_reword_help_texts"),
    ]
    dependencies = [
        ("django_celery_beat", "0019_alter_periodictasks_options"),
        ("registry", "0001_squashed_0012_remember_encryption_keys"),
    ]

    operations = [
        migrations.CreateModel(
            name="AuditEntry",
            fields=[
                (
                    "sequence",
                    models.BigIntegerField(
                        help_text="1, 2, 3 … without a gap.", primary_key=True, serialize=False
                    ),
                ),
                ("at", models.DateTimeField()),
                ("actor", models.CharField(max_length=255)),
                ("action", models.CharField(max_length=64)),
                ("service_name", models.CharField(blank=True, db_index=True, max_length=128)),
                ("data", models.JSONField(default=dict)),
                ("previous_digest", models.CharField(max_length=64)),
                ("digest", models.CharField(max_length=64)),
            ],
            options={
                "verbose_name_plural": "audit trail",
                "ordering": ["-sequence"],
            },
        ),
        migrations.CreateModel(
            name="HistoryTally",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("service_name", models.CharField(db_collation="C", max_length=128)),
                ("status", models.CharField(max_length=11)),
                ("entries", models.BigIntegerField()),
                (
                    "timed_entries",
                    models.BigIntegerField(help_text="Those whose duration is known."),
                ),
                ("seconds", models.BigIntegerField()),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        fields=("service_name", "status"), name="one_tally_per_status"
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="Policy",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("manual", "Manual"),
                            ("approve", "Approve"),
                            ("auto", "Auto"),
                            ("pinned", "Pinned"),
                        ],
                        default="manual",
                        max_length=8,
                    ),
                ),
                (
                    "version_range",
                    models.CharField(
                        blank=True, help_text="Such as >=1.4,<2; empty means any.", max_length=255
                    ),
                ),
                (
                    "version_scheme",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("auto", "auto"),
                            ("semver", "semver"),
                            ("pep440", "pep440"),
                            ("calver", "calver"),
                            ("debian", "debian"),
                            ("maven", "maven"),
                            ("docker", "docker"),
                            ("regex", "regex"),
                        ],
                        help_text="How version strings are read; empty for the source's, or auto.",
                        max_length=8,
                    ),
                ),
                (
                    "version_pattern",
                    models.CharField(
                        blank=True,
                        help_text="A regular expression that versions must match; for regex, with named groups.",
                        max_length=255,
                    ),
                ),
                (
                    "channel",
                    models.CharField(blank=True, help_text="Empty means any.", max_length=64),
                ),
                ("allows_prereleases", models.BooleanField(default=False)),
                (
                    "minimum_age_seconds",
                    models.PositiveIntegerField(
                        default=0,
                        help_text="How old a release must be, by its source's own time; without one it waits.",
                    ),
                ),
                (
                    "strategy",
                    models.CharField(
                        choices=[
                            ("rolling", "Rolling"),
                            ("blue-green", "Blue Green"),
                            ("canary", "Canary"),
                        ],
                        default="rolling",
                        max_length=10,
                    ),
                ),
                ("strategy_options", models.JSONField(blank=True, default=dict)),
                (
                    "metrics",
                    models.JSONField(
                        blank=True,
                        default=list,
                        help_text='Such as [{"name": "errors", "url": "http://prometheus:9090", "query": "…", "maximum": 0.01}].',
                    ),
                ),
                (
                    "requires_checksum",
                    models.BooleanField(
                        default=False,
                        help_text="A release without a digest of its artifact is refused.",
                    ),
                ),
                (
                    "requires_second_person",
                    models.BooleanField(
                        default=False,
                        help_text="What a person or a program asks for, another person must approve first.",
                    ),
                ),
                ("requires_signature", models.BooleanField(default=False)),
                (
                    "signing_keys",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(max_length=128),
                        blank=True,
                        default=list,
                        help_text="minisign public keys, any of which may have signed.",
                        size=None,
                    ),
                ),
                ("updated_at", models.DateTimeField(auto_now=True)),
                (
                    "service",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="policy",
                        to="registry.service",
                    ),
                ),
            ],
            options={
                "verbose_name_plural": "policies",
                "permissions": [
                    ("override_calendar", "Can deploy in a freeze or outside maintenance windows")
                ],
            },
        ),
        migrations.CreateModel(
            name="Release",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("version", models.CharField(db_collation="C", max_length=128)),
                (
                    "channel",
                    models.CharField(
                        blank=True,
                        help_text="Such as stable or nightly; empty for sources without.",
                        max_length=64,
                    ),
                ),
                (
                    "needs_channel",
                    models.BooleanField(
                        default=False, help_text="Only policies that name its channel take it."
                    ),
                ),
                (
                    "is_prerelease",
                    models.BooleanField(
                        default=False, help_text="By its version, or because its source says so."
                    ),
                ),
                (
                    "artifact_url",
                    models.CharField(
                        blank=True, help_text="For an image, its reference.", max_length=2048
                    ),
                ),
                (
                    "artifact_problem",
                    models.TextField(
                        blank=True,
                        help_text="Why no artifact could be chosen, though its source has files.",
                    ),
                ),
                (
                    "artifact_type",
                    models.CharField(
                        choices=[("binary", "Binary"), ("archive", "Archive"), ("image", "Image")],
                        default="binary",
                        max_length=8,
                    ),
                ),
                (
                    "checksum",
                    models.CharField(
                        blank=True,
                        help_text="algorithm:hexadecimal digest, as it was announced.",
                        max_length=256,
                    ),
                ),
                ("size_bytes", models.BigIntegerField(blank=True, null=True)),
                (
                    "signature",
                    models.TextField(blank=True, help_text="A minisign signature of the artifact."),
                ),
                ("notes", models.TextField(blank=True)),
                (
                    "published_at",
                    models.DateTimeField(
                        blank=True,
                        help_text="As its source says; the minimum age counts from here.",
                        null=True,
                    ),
                ),
                ("recorded_at", models.DateTimeField(help_text="When it was first recorded.")),
                ("origin", models.CharField(help_text="The kind of its source.", max_length=16)),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("available", "Available"),
                            ("quarantined", "Quarantined"),
                            ("withdrawn", "Withdrawn"),
                        ],
                        default="available",
                        max_length=11,
                    ),
                ),
                ("state_reason", models.TextField(blank=True)),
                ("state_changed_at", models.DateTimeField(blank=True, null=True)),
                (
                    "service",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="releases",
                        to="registry.service",
                    ),
                ),
            ],
            options={
                "ordering": ["service_id", "-recorded_at", "-id"],
                "permissions": [("move_release", "Can quarantine, withdraw and release again")],
            },
        ),
        migrations.CreateModel(
            name="Job",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("job_id", models.CharField(db_collation="C", max_length=300, unique=True)),
                (
                    "kind",
                    models.CharField(
                        choices=[("deploy", "Deploy"), ("rollback", "Rollback")], max_length=8
                    ),
                ),
                ("version", models.CharField(max_length=128)),
                ("previous_version", models.CharField(blank=True, max_length=128)),
                ("strategy", models.CharField(max_length=10)),
                ("strategy_options", models.JSONField(blank=True, default=dict)),
                (
                    "selection",
                    models.JSONField(
                        blank=True,
                        default=dict,
                        help_text="Target names and labels, where not all targets are meant.",
                    ),
                ),
                ("reason", models.TextField(blank=True, help_text="Why it was asked for.")),
                ("artifact_url", models.CharField(blank=True, max_length=2048)),
                ("artifact_type", models.CharField(default="binary", max_length=8)),
                ("checksum", models.CharField(blank=True, max_length=256)),
                (
                    "artifact_sha256",
                    models.CharField(
                        blank=True,
                        help_text="Of the first download; every other must be the same.",
                        max_length=64,
                    ),
                ),
                (
                    "request_digest",
                    models.CharField(
                        help_text="The same request finds its job by it.", max_length=64
                    ),
                ),
                ("requested_by", models.CharField(blank=True, max_length=255)),
                (
                    "metrics",
                    models.JSONField(
                        blank=True,
                        default=list,
                        help_text="Those of the policy when it was asked for.",
                    ),
                ),
                (
                    "moves",
                    models.JSONField(
                        default=list, help_text="The plan of its strategy; steps point into it."
                    ),
                ),
                (
                    "status",
                    models.CharField(
                        choices=[
                            ("queued", "Queued"),
                            ("running", "Running"),
                            ("paused", "Paused"),
                            ("rolling_back", "rolling back"),
                            ("succeeded", "Succeeded"),
                            ("failed", "Failed"),
                            ("rolled_back", "rolled back"),
                            ("cancelled", "Cancelled"),
                        ],
                        default="queued",
                        max_length=12,
                    ),
                ),
                ("progress", models.PositiveSmallIntegerField(default=0, help_text="Percent.")),
                ("error", models.TextField(blank=True)),
                (
                    "needs_attention",
                    models.BooleanField(
                        default=False,
                        help_text="The rollback failed; the service is locked until staff acknowledge.",
                    ),
                ),
                (
                    "attention",
                    models.JSONField(default=list, help_text="The targets whose rollback failed."),
                ),
                (
                    "failed_targets",
                    models.JSONField(
                        blank=True,
                        default=list,
                        help_text="Those that failed within the error threshold of their wave, and why.",
                    ),
                ),
                ("is_aborted", models.BooleanField(default=False)),
                (
                    "is_promoted_fully",
                    models.BooleanField(default=False, help_text="No pause stops it any more."),
                ),
                ("pause_reason", models.TextField(blank=True)),
                ("paused_at", models.DateTimeField(blank=True, null=True)),
                (
                    "resume_at",
                    models.DateTimeField(blank=True, help_text="Empty: by hand.", null=True),
                ),
                (
                    "on_expiry",
                    models.CharField(
                        blank=True,
                        choices=[("rollback", "rollback"), ("promote", "promote")],
                        help_text="What resume_at does; empty: the pause is over.",
                        max_length=8,
                    ),
                ),
                ("paused_seconds", models.PositiveIntegerField(default=0)),
                (
                    "sick_before",
                    models.JSONField(
                        help_text="Targets that were not well before the first one was touched.",
                        null=True,
                    ),
                ),
                (
                    "fence",
                    models.BigIntegerField(
                        default=0,
                        help_text="Grows with every worker that takes the job over; older ones may not write.",
                    ),
                ),
                ("lease_owner", models.CharField(blank=True, max_length=255)),
                ("lease_expires_at", models.DateTimeField(blank=True, null=True)),
                (
                    "waiting_since",
                    models.DateTimeField(
                        blank=True,
                        help_text="Since when a node has been asked for its step.",
                        null=True,
                    ),
                ),
                (
                    "rang_at",
                    models.DateTimeField(
                        blank=True, help_text="When it was asked last.", null=True
                    ),
                ),
                ("created_at", models.DateTimeField()),
                ("started_at", models.DateTimeField(blank=True, null=True)),
                ("finished_at", models.DateTimeField(blank=True, null=True)),
                ("acknowledged_by", models.CharField(blank=True, max_length=255)),
                (
                    "service",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="jobs",
                        to="registry.service",
                    ),
                ),
                (
                    "release",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="jobs",
                        to="updates.release",
                    ),
                ),
            ],
            options={
                "ordering": ["-created_at", "-id"],
                "permissions": [
                    ("operate_job", "Can pause, resume, promote, abort and retry deployments"),
                    ("acknowledge_job", "Can acknowledge a failed rollback"),
                ],
            },
        ),
        migrations.CreateModel(
            name="Approval",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("pending", "Pending"),
                            ("approved", "Approved"),
                            ("rejected", "Rejected"),
                            ("superseded", "Superseded"),
                        ],
                        default="pending",
                        max_length=10,
                    ),
                ),
                ("requested_at", models.DateTimeField()),
                (
                    "requested_by",
                    models.CharField(
                        blank=True, help_text="Empty where the policy asked.", max_length=255
                    ),
                ),
                (
                    "kind",
                    models.CharField(
                        choices=[("deploy", "deploy"), ("rollback", "rollback")],
                        default="deploy",
                        max_length=8,
                    ),
                ),
                (
                    "strategy",
                    models.CharField(blank=True, help_text="Empty: the policy's.", max_length=10),
                ),
                (
                    "strategy_options",
                    models.JSONField(blank=True, help_text="Empty: the policy's.", null=True),
                ),
                (
                    "details",
                    models.JSONField(
                        blank=True,
                        default=dict,
                        help_text="The selection of targets, the reason, and whether it is fast.",
                    ),
                ),
                (
                    "force_reason",
                    models.TextField(
                        blank=True,
                        help_text="Why a quarantined release is to be deployed nevertheless.",
                    ),
                ),
                ("decided_at", models.DateTimeField(blank=True, null=True)),
                ("decided_by", models.CharField(blank=True, max_length=255)),
                ("reason", models.TextField(blank=True)),
                ("job_id", models.CharField(blank=True, max_length=300)),
                (
                    "service",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="approvals",
                        to="registry.service",
                    ),
                ),
                (
                    "release",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="approvals",
                        to="updates.release",
                    ),
                ),
            ],
            options={
                "ordering": ["-requested_at", "-id"],
                "permissions": [("decide_approval", "Can approve and reject updates")],
            },
        ),
        migrations.CreateModel(
            name="Source",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("announced", "Announced"),
                            ("github", "GitHub releases"),
                            ("gitlab", "GitLab releases"),
                            ("gitea", "Gitea and Forgejo releases"),
                            ("pypi", "PyPI"),
                            ("npm", "npm"),
                            ("oci", "OCI registry"),
                            ("helm", "Helm repository"),
                            ("maven", "Maven repository"),
                            ("crates", "crates.io"),
                            ("rubygems", "RubyGems"),
                            ("go", "Go module proxy"),
                            ("git", "Git tags"),
                            ("s3", "S3-style bucket"),
                            ("endoflife", "endoflife.date"),
                            ("json", "JSON document"),
                        ],
                        default="announced",
                        max_length=9,
                    ),
                ),
                (
                    "location",
                    models.CharField(
                        blank=True,
                        help_text="owner/repository, the package's name, the image's repository, or a URL.",
                        max_length=2048,
                    ),
                ),
                (
                    "base_url",
                    models.CharField(
                        blank=True,
                        help_text="Of a mirror; empty for the public one.",
                        max_length=2048,
                    ),
                ),
                (
                    "options",
                    models.JSONField(
                        blank=True,
                        default=dict,
                        help_text='A JSON object, such as {"asset": "*-linux.tar.gz", "tag_prefix": "payment-"}.',
                    ),
                ),
                ("sealed_token", models.TextField(blank=True, editable=False)),
                ("is_enabled", models.BooleanField(default=True)),
                (
                    "interval_seconds",
                    models.PositiveIntegerField(
                        default=3600,
                        help_text="Between two checks; a tenth of it is left to chance.",
                    ),
                ),
                ("next_check_at", models.DateTimeField(blank=True, null=True)),
                ("lease_expires_at", models.DateTimeField(blank=True, editable=False, null=True)),
                ("last_checked_at", models.DateTimeField(blank=True, editable=False, null=True)),
                ("last_version", models.CharField(blank=True, editable=False, max_length=128)),
                ("last_error", models.TextField(blank=True, editable=False)),
                ("failures", models.PositiveIntegerField(default=0, editable=False)),
                (
                    "validators",
                    models.JSONField(
                        default=dict,
                        editable=False,
                        help_text="ETag and Last-Modified of the last answer.",
                    ),
                ),
                (
                    "crontab",
                    models.ForeignKey(
                        blank=True,
                        help_text="Instead of the interval: at these times, in their own time zone.",
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        to="django_celery_beat.crontabschedule",
                    ),
                ),
                (
                    "service",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="source",
                        to="registry.service",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="Target",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("name", models.CharField(max_length=128)),
                (
                    "position",
                    models.PositiveIntegerField(
                        default=0, help_text="Lower ones are updated first."
                    ),
                ),
                ("zone", models.CharField(blank=True, max_length=128)),
                (
                    "node",
                    models.CharField(
                        default="local",
                        help_text="A worker that consumes the queue node.<this> does the work, on its own disk.",
                        max_length=128,
                    ),
                ),
                (
                    "is_automatic",
                    models.BooleanField(
                        default=False,
                        editable=False,
                        help_text="Made by Saga; ignored once there are others.",
                    ),
                ),
                (
                    "instances",
                    models.JSONField(
                        blank=True,
                        default=list,
                        help_text='Several of them: [{"id": "shop-1", "port": 8001, "node": "web1"}]; {instance} and {port} stand for them in folders, URLs, options, hooks and variables.',
                    ),
                ),
                ("is_enabled", models.BooleanField(default=True)),
                (
                    "labels",
                    models.JSONField(
                        blank=True,
                        default=dict,
                        help_text='Such as {"ring": "early"}; a deployment may select by them.',
                    ),
                ),
                (
                    "slot",
                    models.CharField(
                        blank=True,
                        choices=[("blue", "blue"), ("green", "green")],
                        help_text="Blue-green deploys to the set that stands by, then moves all lookups to it.",
                        max_length=5,
                    ),
                ),
                (
                    "is_standby",
                    models.BooleanField(
                        default=False,
                        editable=False,
                        help_text="The other slot serves the lookups.",
                    ),
                ),
                (
                    "installer",
                    models.CharField(
                        choices=[
                            ("directory", "directory: releases/ and current"),
                            ("http", "HTTP: the service's own deployer"),
                            ("image", "image: an HTTP deployer that gets the reference"),
                            ("container", "container: docker or podman on the node"),
                            ("systemd", "systemd: releases/ and current, run as a unit"),
                            ("command", "command: an install script from SAGA_RESTART_COMMANDS"),
                        ],
                        default="directory",
                        max_length=9,
                    ),
                ),
                (
                    "install_root",
                    models.CharField(
                        blank=True,
                        help_text="Empty: a folder below SAGA_INSTALL_ROOT.",
                        max_length=1024,
                    ),
                ),
                ("keep_releases", models.PositiveSmallIntegerField(default=3)),
                (
                    "deployer_url",
                    models.CharField(
                        blank=True, help_text="Of the HTTP and image installers.", max_length=2048
                    ),
                ),
                (
                    "installer_options",
                    models.JSONField(
                        blank=True,
                        default=dict,
                        help_text='Of a container: {"ports": ["127.0.0.1:8080:80"], "restart_policy": "always"}; of a unit: {"exec_start": "{current}/bin/run"}; of a command: {"command": "install-shop"}.',
                    ),
                ),
                ("sealed_deployer_secret", models.TextField(blank=True, editable=False)),
                (
                    "restart",
                    models.CharField(
                        choices=[
                            ("none", "None"),
                            ("http", "HTTP call"),
                            ("systemd", "systemd unit"),
                            ("signal", "signal to a pid file"),
                            ("command", "command from SAGA_RESTART_COMMANDS"),
                        ],
                        default="none",
                        max_length=7,
                    ),
                ),
                (
                    "restart_with",
                    models.CharField(
                        blank=True,
                        help_text="The URL, the unit, the pid file, or the command's name in the settings.",
                        max_length=2048,
                    ),
                ),
                ("restart_signal", models.CharField(default="SIGHUP", max_length=10)),
                ("restart_timeout_seconds", models.PositiveIntegerField(default=60)),
                (
                    "environment",
                    models.JSONField(
                        blank=True,
                        default=dict,
                        help_text='Variables of its commands, as {"NAME": "value"}; kept with each deployment.',
                    ),
                ),
                ("sealed_environment", models.TextField(blank=True, editable=False)),
                (
                    "hooks",
                    models.JSONField(
                        blank=True,
                        default=dict,
                        help_text='{"after_unpack": {"command": "build", "timeout_seconds": 600}}; also before_switch, stop, after_healthy, after_rollback; url instead of command.',
                    ),
                ),
                (
                    "instance_id",
                    models.CharField(
                        blank=True,
                        help_text="As it registers; it leaves lookups while it is worked on.",
                        max_length=128,
                    ),
                ),
                (
                    "drain_seconds",
                    models.PositiveSmallIntegerField(
                        default=1,
                        help_text="For callers that have just looked it up, before it is touched.",
                    ),
                ),
                (
                    "is_registry_gate",
                    models.BooleanField(
                        default=False,
                        help_text="The instance must send a passing heartbeat with the expected version.",
                    ),
                ),
                ("health_url", models.CharField(blank=True, max_length=2048)),
                (
                    "health_successes",
                    models.PositiveSmallIntegerField(default=3, help_text="In a row."),
                ),
                ("health_interval_seconds", models.PositiveSmallIntegerField(default=1)),
                (
                    "min_healthy_seconds",
                    models.PositiveIntegerField(
                        default=0, help_text="How long it must stay healthy."
                    ),
                ),
                ("healthy_deadline_seconds", models.PositiveIntegerField(default=300)),
                (
                    "metric_url",
                    models.CharField(
                        blank=True,
                        help_text="A Prometheus server, such as http://host:9090.",
                        max_length=2048,
                    ),
                ),
                ("metric_query", models.TextField(blank=True)),
                ("metric_maximum", models.FloatField(blank=True, null=True)),
                ("metric_minimum", models.FloatField(blank=True, null=True)),
                (
                    "metric_samples_query",
                    models.TextField(
                        blank=True,
                        help_text="How many samples the metric stands on; empty: not asked.",
                    ),
                ),
                ("metric_min_samples", models.PositiveIntegerField(default=1)),
                ("current_version", models.CharField(blank=True, editable=False, max_length=128)),
                ("updated_at", models.DateTimeField(auto_now=True)),
                (
                    "parent",
                    models.ForeignKey(
                        blank=True,
                        editable=False,
                        help_text="The target that lists it as one of its instances.",
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="children",
                        to="updates.target",
                    ),
                ),
                (
                    "service",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="targets",
                        to="registry.service",
                    ),
                ),
            ],
            options={
                "ordering": ["service_id", "position", "name"],
                "permissions": [
                    ("change_where_it_runs", "Can set roots, restarts and gates of targets")
                ],
            },
        ),
        migrations.CreateModel(
            name="Step",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("position", models.PositiveIntegerField()),
                ("name", models.CharField(max_length=32)),
                ("target_name", models.CharField(blank=True, max_length=128)),
                ("node", models.CharField(blank=True, max_length=128)),
                (
                    "move",
                    models.PositiveIntegerField(
                        default=0, help_text="Which of its job's moves it is part of."
                    ),
                ),
                ("weight", models.PositiveSmallIntegerField(null=True)),
                ("wait_seconds", models.PositiveIntegerField(null=True)),
                ("is_way_back", models.BooleanField(default=False)),
                (
                    "status",
                    models.CharField(
                        choices=[
                            ("pending", "Pending"),
                            ("running", "Running"),
                            ("succeeded", "Succeeded"),
                            ("failed", "Failed"),
                            ("skipped", "Skipped"),
                        ],
                        default="pending",
                        max_length=9,
                    ),
                ),
                ("progress", models.PositiveSmallIntegerField(default=0)),
                ("message", models.TextField(blank=True)),
                ("result", models.JSONField(default=dict)),
                (
                    "runs",
                    models.PositiveSmallIntegerField(
                        default=0, help_text="More than one after a crash."
                    ),
                ),
                ("started_at", models.DateTimeField(null=True)),
                ("finished_at", models.DateTimeField(null=True)),
                (
                    "job",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="steps",
                        to="updates.job",
                    ),
                ),
                (
                    "target",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        to="updates.target",
                    ),
                ),
            ],
            options={
                "ordering": ["job_id", "position"],
            },
        ),
        migrations.CreateModel(
            name="Credential",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "host",
                    models.CharField(
                        help_text="As in its URLs, with the port where they have one: packages.example.com:8443.",
                        max_length=260,
                    ),
                ),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("bearer", "Bearer token"),
                            ("basic", "Basic: user name and password"),
                            ("header", "Header of its own name"),
                            ("registry", "Registry: user name and password for a token"),
                        ],
                        default="bearer",
                        max_length=8,
                    ),
                ),
                (
                    "username",
                    models.CharField(
                        blank=True, help_text="Of Basic and Registry.", max_length=255
                    ),
                ),
                (
                    "header_name",
                    models.CharField(
                        blank=True,
                        help_text="Of Header: PRIVATE-TOKEN, X-JFrog-Art-Api.",
                        max_length=128,
                    ),
                ),
                (
                    "is_http_allowed",
                    models.BooleanField(
                        default=False,
                        help_text="Send it without TLS, too; to this machine it always is.",
                    ),
                ),
                ("sealed_secret", models.TextField(editable=False)),
                ("updated_at", models.DateTimeField(auto_now=True)),
                (
                    "service",
                    models.ForeignKey(
                        blank=True,
                        help_text="Empty: for the artifacts of all services.",
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="credentials",
                        to="registry.service",
                    ),
                ),
            ],
            options={
                "ordering": ["host", "service_id"],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("host", "service"),
                        name="one_credential_per_host_and_service",
                        nulls_distinct=False,
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("kind", "header"), _negated=True),
                            models.Q(("header_name", ""), _negated=True),
                            _connector="OR",
                        ),
                        name="a_header_credential_names_its_header",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Freeze",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("name", models.CharField(max_length=128)),
                ("starts_on", models.DateField()),
                ("starts_at", models.TimeField(default="00:00")),
                ("ends_on", models.DateField()),
                ("ends_at", models.TimeField(default="00:00")),
                (
                    "time_zone",
                    models.CharField(
                        default="UTC",
                        max_length=64,
                        validators=[updates.models.calendar.check_time_zone],
                    ),
                ),
                ("reason", models.TextField(blank=True)),
                (
                    "service",
                    models.ForeignKey(
                        blank=True,
                        help_text="Empty: of every service.",
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="freezes",
                        to="registry.service",
                    ),
                ),
            ],
            options={
                "ordering": ["-starts_on", "id"],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            ("ends_on__gt", models.F("starts_on")),
                            models.Q(
                                ("ends_at__gt", models.F("starts_at")),
                                ("ends_on", models.F("starts_on")),
                            ),
                            _connector="OR",
                        ),
                        name="freeze_ends_after_its_start",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="HistoryEntry",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("service_name", models.CharField(db_collation="C", max_length=128)),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("deploy", "Deploy"),
                            ("rollback", "Rollback"),
                            ("reported", "reported by the service"),
                        ],
                        max_length=8,
                    ),
                ),
                (
                    "status",
                    models.CharField(
                        choices=[
                            ("success", "Success"),
                            ("failed", "Failed"),
                            ("rolled_back", "Rolled Back"),
                        ],
                        max_length=11,
                    ),
                ),
                ("old_version", models.CharField(max_length=128, null=True)),
                ("new_version", models.CharField(max_length=128, null=True)),
                (
                    "running_version",
                    models.CharField(
                        help_text="What ran afterwards; empty if unknown.",
                        max_length=128,
                        null=True,
                    ),
                ),
                ("timestamp", models.DateTimeField(help_text="When it ended.")),
                ("started_at", models.DateTimeField(null=True)),
                (
                    "released_at",
                    models.DateTimeField(
                        help_text="When the new version was published: lead times count from here.",
                        null=True,
                    ),
                ),
                ("duration_seconds", models.PositiveIntegerField(null=True)),
                ("paused_seconds", models.PositiveIntegerField(null=True)),
                ("artifact_url", models.CharField(max_length=2048, null=True)),
                ("checksum", models.CharField(max_length=256, null=True)),
                ("artifact_path", models.TextField(null=True)),
                ("backup_path", models.TextField(null=True)),
                ("job_id", models.CharField(max_length=300, null=True)),
                (
                    "has_reached_target",
                    models.BooleanField(
                        default=True, help_text="No: it failed before anything was changed."
                    ),
                ),
                (
                    "detail",
                    models.TextField(
                        blank=True, help_text="Why it failed, or why this row corrects."
                    ),
                ),
                ("recorded_by", models.CharField(blank=True, max_length=255)),
                ("recorded_at", models.DateTimeField(auto_now_add=True)),
                (
                    "corrects",
                    models.OneToOneField(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="correction",
                        to="updates.historyentry",
                    ),
                ),
            ],
            options={
                "verbose_name_plural": "history",
                "ordering": ["-timestamp", "-id"],
                "permissions": [("correct_historyentry", "Can add a correction to the history")],
                "indexes": [
                    models.Index(
                        fields=["-timestamp", "-id"],
                        include=("service_name", "status", "duration_seconds"),
                        name="history_newest",
                    ),
                    models.Index(
                        fields=["service_name", "-timestamp", "-id"], name="history_of_service"
                    ),
                    models.Index(fields=["status", "-timestamp", "-id"], name="history_of_status"),
                    models.Index(
                        condition=models.Q(("kind", "rollback")),
                        fields=["timestamp"],
                        name="history_of_rollbacks",
                    ),
                ],
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("corrects__isnull", True)),
                        fields=("job_id",),
                        name="one_history_entry_per_job",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="Hold",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "version",
                    models.CharField(
                        blank=True, help_text="Empty snoozes every version.", max_length=128
                    ),
                ),
                (
                    "expires_at",
                    models.DateTimeField(blank=True, help_text="Empty holds for good.", null=True),
                ),
                ("reason", models.TextField(blank=True)),
                ("created_by", models.CharField(blank=True, editable=False, max_length=255)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                (
                    "service",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="holds",
                        to="registry.service",
                    ),
                ),
            ],
            options={
                "ordering": ["service_id", "-created_at"],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("version", ""), _negated=True),
                            ("expires_at__isnull", False),
                            _connector="OR",
                        ),
                        name="snooze_ends",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="MaintenanceWindow",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("name", models.CharField(max_length=128)),
                (
                    "weekdays",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.PositiveSmallIntegerField(
                            choices=[
                                (0, "Monday"),
                                (1, "Tuesday"),
                                (2, "Wednesday"),
                                (3, "Thursday"),
                                (4, "Friday"),
                                (5, "Saturday"),
                                (6, "Sunday"),
                            ]
                        ),
                        blank=True,
                        default=list,
                        help_text="0 is Monday; empty means every day.",
                        size=None,
                    ),
                ),
                ("opens_at", models.TimeField(help_text="On the wall clock of the time zone.")),
                ("duration_minutes", models.PositiveIntegerField()),
                (
                    "time_zone",
                    models.CharField(
                        default="UTC",
                        max_length=64,
                        validators=[updates.models.calendar.check_time_zone],
                    ),
                ),
                ("is_enabled", models.BooleanField(default=True)),
                (
                    "service",
                    models.ForeignKey(
                        blank=True,
                        help_text="Empty: of every service without windows of its own.",
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="windows",
                        to="registry.service",
                    ),
                ),
            ],
            options={
                "ordering": ["name", "id"],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("duration_minutes__range", (1, 10080))),
                        name="window_lasts_up_to_a_week",
                    )
                ],
            },
        ),
        migrations.AddConstraint(
            model_name="release",
            constraint=models.UniqueConstraint(
                fields=("service", "version"), name="one_release_per_version"
            ),
        ),
        migrations.AddIndex(
            model_name="job",
            index=models.Index(
                condition=models.Q(("status__in", ["queued", "running", "rolling_back", "paused"])),
                fields=["lease_expires_at"],
                name="job_due",
            ),
        ),
        migrations.AddIndex(
            model_name="job",
            index=models.Index(fields=["service", "-created_at", "-id"], name="job_of_service"),
        ),
        migrations.AddIndex(
            model_name="job",
            index=models.Index(fields=["-created_at", "-id"], name="job_newest"),
        ),
        migrations.AddIndex(
            model_name="job",
            index=models.Index(fields=["status", "-created_at", "-id"], name="job_of_status"),
        ),
        migrations.AddConstraint(
            model_name="job",
            constraint=models.UniqueConstraint(
                condition=models.Q(
                    ("status__in", ["queued", "running", "rolling_back", "paused"]),
                    ("needs_attention", True),
                    _connector="OR",
                ),
                fields=("service",),
                name="one_live_job_per_service",
            ),
        ),
        migrations.AddConstraint(
            model_name="approval",
            constraint=models.UniqueConstraint(
                condition=models.Q(("state", "pending")),
                fields=("service",),
                name="one_pending_approval_per_service",
            ),
        ),
        migrations.AddIndex(
            model_name="source",
            index=models.Index(
                condition=models.Q(("is_enabled", True)),
                fields=["next_check_at"],
                name="source_due",
            ),
        ),
        migrations.AddConstraint(
            model_name="source",
            constraint=models.CheckConstraint(
                condition=models.Q(("interval_seconds__gte", 60)), name="a_minute_between_checks"
            ),
        ),
        migrations.AddConstraint(
            model_name="target",
            constraint=models.UniqueConstraint(
                fields=("service", "name"), name="one_target_per_name"
            ),
        ),
        migrations.AddConstraint(
            model_name="target",
            constraint=models.CheckConstraint(
                condition=models.Q(("keep_releases__gte", 2)), name="the_previous_release_is_kept"
            ),
        ),
        migrations.AddConstraint(
            model_name="target",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("installer__in", ["directory", "container", "systemd", "command"]),
                    models.Q(("deployer_url", ""), _negated=True),
                    _connector="OR",
                ),
                name="http_installers_know_their_deployer",
            ),
        ),
        migrations.AddConstraint(
            model_name="target",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("metric_maximum__isnull", True),
                    ("metric_minimum__isnull", True),
                    ("metric_maximum__gte", models.F("metric_minimum")),
                    _connector="OR",
                ),
                name="metric_range_is_not_empty",
            ),
        ),
        migrations.AddConstraint(
            model_name="step",
            constraint=models.UniqueConstraint(
                fields=("job", "position"), name="one_step_per_position"
            ),
        ),
        migrations.RunSQL("CREATE SEQUENCE updates_fence", "DROP SEQUENCE updates_fence"),
        migrations.RunSQL(VACUUM_OFTEN, VACUUM_AS_USUAL),
        migrations.RunPython(roles.granting("updates", GRANTED), migrations.RunPython.noop),
        # Saga's own tables come after the roles, which grant nothing on them.
        migrations.CreateModel(
            name="JobTally",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "service_id",
                    models.BigIntegerField(help_text="No foreign key: it may outlive the service."),
                ),
                ("status", models.CharField(max_length=12)),
                ("jobs", models.BigIntegerField()),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        fields=("service_id", "status"), name="one_job_tally_per_status"
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="DeployedEnvironment",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("version", models.CharField(max_length=128)),
                ("environment", models.JSONField(default=dict)),
                ("sealed_environment", models.TextField(blank=True)),
                (
                    "job",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="environments",
                        to="updates.job",
                    ),
                ),
                (
                    "target",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="environments",
                        to="updates.target",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="Watch",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "node",
                    models.CharField(
                        help_text="A worker of this node asks the health URL.", max_length=128
                    ),
                ),
                ("began_at", models.DateTimeField()),
                (
                    "has_heartbeat",
                    models.BooleanField(
                        default=False,
                        help_text="It has sent heartbeats since its switch, and must go on.",
                    ),
                ),
                (
                    "is_well",
                    models.BooleanField(
                        help_text="Empty: the last check was inconclusive.", null=True
                    ),
                ),
                ("failures", models.PositiveSmallIntegerField(default=0, help_text="In a row.")),
                ("message", models.TextField(blank=True)),
                ("checked_at", models.DateTimeField(null=True)),
                (
                    "job",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="watches",
                        to="updates.job",
                    ),
                ),
                (
                    "target",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="watches",
                        to="updates.target",
                    ),
                ),
            ],
            options={
                "ordering": ["job_id", "id"],
            },
        ),
        migrations.CreateModel(
            name="Measurement",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("name", models.CharField(max_length=128)),
                ("began_at", models.DateTimeField(help_text="When the first target was switched.")),
                (
                    "is_good",
                    models.BooleanField(
                        help_text="Empty: the last sample was inconclusive.", null=True
                    ),
                ),
                ("good_in_a_row", models.PositiveIntegerField(default=0)),
                ("bad_in_a_row", models.PositiveIntegerField(default=0)),
                ("message", models.TextField(blank=True)),
                ("checked_at", models.DateTimeField(null=True)),
                (
                    "job",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="measurements",
                        to="updates.job",
                    ),
                ),
            ],
            options={
                "ordering": ["job_id", "id"],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("job", "name"), name="one_measurement_per_metric"
                    )
                ],
            },
        ),
        migrations.AddConstraint(
            model_name="deployedenvironment",
            constraint=models.UniqueConstraint(
                fields=("job", "target"), name="one_environment_per_job_and_target"
            ),
        ),
        migrations.AddConstraint(
            model_name="watch",
            constraint=models.UniqueConstraint(
                fields=("job", "target"), name="one_watch_per_target"
            ),
        ),
        migrations.RunPython(
            roles.granting("updates", {"administrators": ["view_deployedenvironment"]}),
            migrations.RunPython.noop,
        ),
        migrations.RunSQL(triggers.APPEND_ONLY.create, triggers.APPEND_ONLY.drop),
        migrations.RunSQL(triggers.HISTORY_TALLY.create, triggers.HISTORY_TALLY.drop),
        migrations.RunSQL(triggers.JOB_TALLY.create, triggers.JOB_TALLY.drop),
    ]
