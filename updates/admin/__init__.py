"""Updates in the admin: what is journal is read-only, what is policy is edited by those who may."""

from updates.admin import approvals, policies, records, releases, sources, targets

__all__ = ["approvals", "policies", "records", "releases", "sources", "targets"]
