"""The commands of ``saga server``, through Django's command line: ``python -m saga_project COMMAND``."""

import os
import sys

from django.core.management import ManagementUtility
from django.core.management.base import BaseCommand

#: Options that Django gives each command and that say nothing to an operator; they still work.
HIDDEN_OPTIONS = {
    *("--version", "--settings", "--pythonpath", "--traceback", "--verbosity"),
    *("--no-color", "--force-color", "--skip-checks"),
}


class SagaCommands(ManagementUtility):
    """Django's commands under the names that ``saga server`` gives them."""

    def fetch_command(self, subcommand: str) -> BaseCommand:
        command = super().fetch_command(subcommand.replace("-", "_"))
        command.suppressed_base_arguments = HIDDEN_OPTIONS
        return command


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "saga_project.settings")
    SagaCommands(["saga server", *sys.argv[1:]]).execute()


if __name__ == "__main__":
    main()
