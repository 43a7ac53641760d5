"""Django's command line for Saga: ``python -m saga_project COMMAND``, wherever Saga is installed."""

import os
import sys

from django.core.management import execute_from_command_line


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "saga_project.settings")
    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
