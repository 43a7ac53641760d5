from importlib import import_module

from django.apps import AppConfig
from django.contrib.admin import apps as admin_apps


class AdminSiteConfig(admin_apps.AdminConfig):
    """Django's admin with the console's site."""

    default = False
    default_site = "saga_project.console.site.ConsoleSite"


class ConsoleConfig(AppConfig):
    """The console's own admin pages and template tags."""

    default = True
    name = "saga_project.console"

    def ready(self) -> None:
        """Listen to logins; the modules need the models, which are loaded by now."""
        import_module("saga_project.console.logins")
        import_module("saga_project.console.sign_in.trail")
