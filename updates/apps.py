"""The updates app."""

from django.apps import AppConfig
from django.utils.module_loading import autodiscover_modules


class UpdatesConfig(AppConfig):
    name = "updates"
    verbose_name = "Updates"

    def ready(self) -> None:
        autodiscover_modules("receivers", "figures")
