from importlib import import_module

from django.apps import AppConfig


class WebhooksConfig(AppConfig):
    name = "webhooks"
    verbose_name = "Webhooks"

    def ready(self) -> None:
        """Subscribe to events; both modules need the models, which are loaded by now."""
        import_module("webhooks.outbound.outbox")
        import_module("webhooks.operations.takeovers")
