"""Named as Django looks for it: ENGINE is ``saga_project.shared.database``."""

from __future__ import annotations

from typing import Any

from django.db import connections
from django.db.backends.postgresql import base
from psycopg_pool import PoolTimeout

from saga_project.shared.database import watch

MAX_WAITS = 5


class DatabaseWrapper(base.DatabaseWrapper):
    def is_usable(self) -> bool:
        """Whether the connection works and takes writes: a primary may have become a standby meanwhile."""
        try:
            row = self.connection.execute("SHOW transaction_read_only").fetchone()
        except self.Database.Error:
            return False
        return bool(row == ("off",))

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        """Wait for the pool again and again while PostgreSQL is known to answer: it is only busy."""
        waits = 0
        while not watch.is_silent():
            try:
                return super().get_new_connection(conn_params)
            except PoolTimeout:
                waits += 1
                if waits == MAX_WAITS or not watch.is_answering():
                    raise
        raise watch.DatabaseSilent


def watch_over() -> watch.DatabaseWatch:
    """Return a watch over the default database, which ends its pool at an outage.

    Threads that wait for a connection fail at once, no thread gets a broken one, and the first request
    afterwards opens a new pool without broken connections.
    """
    wrapper = connections["default"]
    assert isinstance(wrapper, DatabaseWrapper)  # noqa: S101 (settings know no other)
    return watch.DatabaseWatch(wrapper.get_connection_params(), silenced=wrapper.close_pool)
