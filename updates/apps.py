"""The updates app."""

from importlib import import_module

from django.apps import AppConfig


class UpdatesConfig(AppConfig):
    name = "updates"
    verbose_name = "Updates"

    def ready(self) -> None:
        """Subscribe to events; the modules need the models, which are loaded by now."""
        import_module("updates.history.reports")
        import_module("updates.operations.leftovers")
        import_module("updates.operations.takeovers")
