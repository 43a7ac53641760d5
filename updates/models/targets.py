"""Where a service is installed, how, and how we know that it runs; no webhook can name any of this."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.db.models import F, Q

from registry.models import MAX_NAME_LENGTH, MAX_URL_LENGTH, Service
from saga_project.shared import crypto
from updates.models.policy import policy_of


class Target(models.Model):
    """One place where a service runs. Saga makes the one that a service without any needs."""

    class Installer(models.TextChoices):
        DIRECTORY = "directory", "directory: releases/ and current"
        HTTP = "http", "HTTP: the service's own deployer"
        IMAGE = "image", "image: an HTTP deployer that gets the reference"
        CONTAINER = "container", "container: docker or podman on the node"
        SYSTEMD = "systemd", "systemd: releases/ and current, run as a unit"
        COMMAND = "command", "command: an install script from SAGA_RESTART_COMMANDS"

    class Slot(models.TextChoices):
        BLUE = "blue", "blue"
        GREEN = "green", "green"

    class Restart(models.TextChoices):
        NONE = "none"
        HTTP = "http", "HTTP call"
        SYSTEMD = "systemd", "systemd unit"
        SIGNAL = "signal", "signal to a pid file"
        COMMAND = "command", "command from SAGA_RESTART_COMMANDS"

    service = models.ForeignKey(Service, on_delete=models.CASCADE, related_name="targets")
    name = models.CharField(max_length=MAX_NAME_LENGTH)
    position = models.PositiveIntegerField(default=0, help_text="Lower ones are updated first.")
    zone = models.CharField(max_length=MAX_NAME_LENGTH, blank=True)
    node = models.CharField(
        max_length=MAX_NAME_LENGTH,
        default="local",
        help_text="A worker that consumes the queue node.<this> does the work, on its own disk.",
    )
    is_automatic = models.BooleanField(
        default=False, editable=False, help_text="Made by Saga; ignored once there are others."
    )
    parent = models.ForeignKey(
        "self",
        null=True,
        blank=True,
        editable=False,
        on_delete=models.CASCADE,
        related_name="children",
        help_text="The target that lists it as one of its instances.",
    )
    instances: models.JSONField[Any, Any] = models.JSONField(
        default=list,
        db_default=[],
        blank=True,
        help_text='Several of them: [{"id": "shop-1", "port": 8001, "node": "web1"}]; {instance} and {port}'
        " stand for them in folders, URLs, options, hooks and variables.",
    )
    is_enabled = models.BooleanField(default=True)
    labels: models.JSONField[Any, Any] = models.JSONField(
        default=dict,
        blank=True,
        help_text='Such as {"ring": "early"}; a deployment may select by them.',
    )
    slot = models.CharField(
        max_length=5,
        choices=Slot.choices,
        blank=True,
        help_text="Blue-green deploys to the set that stands by, then moves all lookups to it.",
    )
    is_standby = models.BooleanField(
        default=False, editable=False, help_text="The other slot serves the lookups."
    )

    installer = models.CharField(
        max_length=9, choices=Installer.choices, default=Installer.DIRECTORY
    )
    install_root = models.CharField(
        max_length=1024, blank=True, help_text="Empty: a folder below SAGA_INSTALL_ROOT."
    )
    keep_releases = models.PositiveSmallIntegerField(default=3)
    deployer_url = models.CharField(
        max_length=MAX_URL_LENGTH, blank=True, help_text="Of the HTTP and image installers."
    )
    installer_options: models.JSONField[Any, Any] = models.JSONField(
        default=dict,
        blank=True,
        help_text='Of a container: {"ports": ["127.0.0.1:8080:80"], "restart_policy": "always"}; of a'
        ' unit: {"exec_start": "{current}/bin/run"}; of a command: {"command": "install-shop"}.',
    )
    sealed_deployer_secret = models.TextField(blank=True, editable=False)

    restart = models.CharField(max_length=7, choices=Restart.choices, default=Restart.NONE)
    restart_with = models.CharField(
        max_length=MAX_URL_LENGTH,
        blank=True,
        help_text="The URL, the unit, the pid file, or the command's name in the settings.",
    )
    restart_signal = models.CharField(max_length=10, default="SIGHUP")
    restart_timeout_seconds = models.PositiveIntegerField(default=60)
    environment: models.JSONField[Any, Any] = models.JSONField(
        default=dict,
        blank=True,
        help_text='Variables of its commands, as {"NAME": "value"}; kept with each deployment.',
    )
    sealed_environment = models.TextField(blank=True, editable=False)
    hooks: models.JSONField[Any, Any] = models.JSONField(
        default=dict,
        blank=True,
        help_text='{"after_unpack": {"command": "build", "timeout_seconds": 600}}; also before_switch,'
        " stop, after_healthy, after_rollback; url instead of command.",
    )

    instance_id = models.CharField(
        max_length=MAX_NAME_LENGTH,
        blank=True,
        help_text="As it registers; it leaves lookups while it is worked on.",
    )
    drain_seconds = models.PositiveSmallIntegerField(
        default=1, help_text="For callers that have just looked it up, before it is touched."
    )
    is_registry_gate = models.BooleanField(
        default=False,
        help_text="The instance must send a passing heartbeat with the expected version.",
    )
    health_url = models.CharField(max_length=MAX_URL_LENGTH, blank=True)
    health_successes = models.PositiveSmallIntegerField(default=3, help_text="In a row.")
    health_interval_seconds = models.PositiveSmallIntegerField(default=1)
    min_healthy_seconds = models.PositiveIntegerField(
        default=0, help_text="How long it must stay healthy."
    )
    healthy_deadline_seconds = models.PositiveIntegerField(default=300)
    metric_url = models.CharField(
        max_length=MAX_URL_LENGTH,
        blank=True,
        help_text="A Prometheus server, such as http://host:9090.",
    )
    metric_query = models.TextField(blank=True)
    metric_maximum = models.FloatField(null=True, blank=True)
    metric_minimum = models.FloatField(null=True, blank=True)
    metric_samples_query = models.TextField(
        blank=True, help_text="How many samples the metric stands on; empty: not asked."
    )
    metric_min_samples = models.PositiveIntegerField(default=1)

    current_version = models.CharField(max_length=MAX_NAME_LENGTH, blank=True, editable=False)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["service_id", "position", "name"]
        permissions = [("change_where_it_runs", "Can set roots, restarts and gates of targets")]
        constraints = [
            models.UniqueConstraint(fields=["service", "name"], name="one_target_per_name"),
            models.CheckConstraint(
                name="the_previous_release_is_kept", condition=Q(keep_releases__gte=2)
            ),
            models.CheckConstraint(
                name="http_installers_know_their_deployer",
                condition=Q(installer__in=["directory", "container", "systemd", "command"])
                | ~Q(deployer_url=""),
            ),
            models.CheckConstraint(
                name="metric_range_is_not_empty",
                condition=Q(metric_maximum__isnull=True)
                | Q(metric_minimum__isnull=True)
                | Q(metric_maximum__gte=F("metric_minimum")),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.service.name}/{self.name}"

    @property
    def deployer_secret(self) -> str:
        return crypto.decrypt(self.sealed_deployer_secret) if self.sealed_deployer_secret else ""

    @property
    def has_releases_on_disk(self) -> bool:
        """Whether its installer keeps ``releases/`` and ``current``."""
        return self.installer in (self.Installer.DIRECTORY, self.Installer.SYSTEMD)

    def installs(self, artifact_type: str) -> bool:
        """Whether its installer takes artifacts of this type."""
        takes_images = {self.Installer.IMAGE, self.Installer.CONTAINER, self.Installer.HTTP}
        if artifact_type == "image":
            return self.installer in takes_images
        return self.installer not in (self.Installer.IMAGE, self.Installer.CONTAINER)

    def obstacle(self, artifact_type: str) -> str:
        """Return why its installer cannot take artifacts of this type, empty where it can."""
        if self.installs(artifact_type):
            return ""
        kind = "an image" if artifact_type == "image" else "no image"
        return (
            f"is {kind}, and target '{self.name}' has the installer '{self.installer}'; give the"
            " target another installer, or publish another artifact."
        )

    @property
    def has_health_gate(self) -> bool:
        return bool(self.is_registry_gate or self.health_url or self.metric_query)

    @property
    def is_watched(self) -> bool:
        """Whether a deployment keeps an eye on it between its switch and the end."""
        return self.has_health_gate or bool(self.instance_id)

    @property
    def needs_signature(self) -> bool:
        return policy_of(self.service).requires_signature

    def describe(self) -> dict[str, Any]:
        """Return the target's fields that a job shows."""
        return {"name": self.name, "node": self.node, "zone": self.zone}
