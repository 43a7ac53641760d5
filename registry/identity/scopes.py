"""What tokens may do, one name for each."""

from __future__ import annotations

from collections.abc import Mapping

SCOPES: Mapping[str, str] = {
    "services:read": "See services, instances, events, discovery and subscriptions",
    "registry:manage": "Register, heartbeat and deregister services; manage subscriptions",
    "checks:write": "Set the health checks that Saga makes of services",
    "labels:write": "Set the labels of services, by which lists and notification rules select",
    "updates:read": "See history, statistics, exports, plans and jobs",
    "sources:write": "Set the sources of releases, and check them",
    "policies:write": "Set policies, and the versions that are skipped",
    "calendar:write": "Set maintenance windows and change freezes",
    "targets:write": "Set where services are installed, and how",
    "updates:deploy": "Announce, check, deploy and roll back; steer jobs",
    "nodes:write": "Add hosts as nodes; approve and revoke them",
    "nodes:work": "Of an agent: get the orders of its own node, and report on them",
    "artifacts:read": "See and download uploaded artifacts",
    "artifacts:write": "Upload and delete artifacts",
    "tokens:write": "See, issue and revoke tokens of its own account, with its own scopes at most",
    "audit:read": "See, export and verify the audit trail",
    "approvals:decide": "See, approve and reject what awaits approval",
    "webhooks:send": "Send health, lifecycle and notifications",
    "webhooks:manage": "See and change webhook configuration; see and replay deliveries and calls",
    "rules:write": "Set which events are sent to which channels",
    "admin:registry": "All of this, for the services of any account",
}
ADMIN_SCOPE = "admin:registry"
