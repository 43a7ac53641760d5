"""Webhooks in the admin: lists; the console's pages show the single call, delivery and configuration."""

from webhooks.admin import hooks, lists, rules

__all__ = ["hooks", "lists", "rules"]
