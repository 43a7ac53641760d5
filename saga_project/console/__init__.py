"""The operator's console: pages over registry, updates and webhooks, inside Django's admin."""
