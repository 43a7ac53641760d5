"""The registry in the admin: state is read-only, and moves by actions that call operations."""

from registry.admin import accounts, events, health_checks, services, subscriptions

__all__ = ["accounts", "events", "health_checks", "services", "subscriptions"]
