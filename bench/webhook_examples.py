"""The reference document's calls to the webhook routes, and their answers as printed."""

from __future__ import annotations

from typing import Any

CALLS = [
    ("update", {"service_name": "payment-service", "version": "1.3.0", "artifact_url": "https://github.com/example/payment/releases/v1.3.0/payment-v1.3.0.tar.gz", "artifact_type": "binary", "checksum": "sha256:abc123...", "webhook_secret": "optional-secret-for-signature-validation"}),  # noqa: E501
    ("check-updates", {"service_name": "payment-service"}),
    ("health", {"service_name": "payment-service", "status": "healthy", "timestamp": "2024-01-15T10:30:00Z", "details": {"uptime": 3600, "version": "1.3.0"}}),  # noqa: E501
    ("lifecycle", {"service_name": "payment-service", "event": "started", "timestamp": "2024-01-15T10:30:00Z", "details": {"version": "1.3.0", "pid": 12345}}),  # noqa: E501
    ("deploy", {"service_name": "payment-service", "version": "1.3.0", "artifact_url": "https://github.com/example/payment/releases/v1.3.0/payment-v1.3.0.tar.gz", "artifact_type": "binary", "checksum": "sha256:abc123...", "strategy": "rolling", "webhook_secret": "optional-secret"}),  # noqa: E501
    ("rollback", {"service_name": "payment-service", "version": "1.2.3"}),
    ("notify", {"service_name": "payment-service", "channel": "slack", "message": "Service payment-service updated to version 1.3.0", "severity": "info"}),  # noqa: E501
    ("config", {"service_name": "payment-service", "endpoints": {"slack": "https://hooks.slack.com/services/...", "discord": "https://discord.com/api/webhooks/..."}, "secret": "webhook-secret-key"}),  # noqa: E501
]  # fmt: skip
#: Status and answer of each, as printed; the times in them are the document's.
ANSWERS: dict[str, tuple[int, dict[str, Any]]] = {
    "update": (202, {"status": "accepted", "message": "Update notification received for payment-service", "service_name": "payment-service", "version": "1.3.0"}),  # noqa: E501
    "check-updates": (200, {"status": "checked", "service_name": "payment-service", "current_version": "1.2.3", "latest_version": "1.3.0", "update_available": True}),  # noqa: E501
    "health": (200, {"status": "received", "message": "Health status updated for payment-service"}),
    "lifecycle": (200, {"status": "received", "message": "Lifecycle event processed for payment-service"}),
    "deploy": (202, {"status": "accepted", "job_id": "deploy-payment-service-1.3.0-1705312200", "message": "Deployment process started for service payment-service", "service_name": "payment-service", "version": "1.3.0"}),  # noqa: E501
    "rollback": (202, {"status": "accepted", "job_id": "rollback-payment-service-1.2.3-1705312200", "message": "Rollback process started for service payment-service", "service_name": "payment-service", "version": "1.2.3"}),  # noqa: E501
    "notify": (200, {"status": "sent", "message": "Notification sent via slack"}),
    "config": (200, {"status": "configured", "message": "Webhook configuration updated for payment-service"}),
    "config?service_name=payment-service": (200, {"service_name": "payment-service", "endpoints": {"slack": "https://hooks.slack.com/services/...", "discord": "https://discord.com/api/webhooks/..."}, "configured_at": "2024-01-15T10:30:00Z"}),  # noqa: E501
}  # fmt: skip
