"""The admin of configured rows, which the registry's own admin uses as well."""

from registry.admin.audited import AuditedAdmin, ConfiguredForm

__all__ = ["AuditedAdmin", "ConfiguredForm"]
