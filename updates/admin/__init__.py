"""Updates in the admin: people set policies, sources and the calendar; the rest moves by actions."""

from updates.admin import (
    approvals,
    calendar,
    credentials,
    nodes,
    policies,
    records,
    releases,
    sources,
    targets,
)

__all__ = [
    "approvals",
    "calendar",
    "credentials",
    "nodes",
    "policies",
    "records",
    "releases",
    "sources",
    "targets",
]
