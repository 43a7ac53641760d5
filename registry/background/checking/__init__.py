"""Health checks of instances: ``manage.py check_services`` makes them, many at once on an event loop.

PostgreSQL holds what is checked, which processes share the work, and the verdicts; a call itself touches
neither it nor Redis.
"""

from registry.background.checking.process import run

__all__ = ["run"]
