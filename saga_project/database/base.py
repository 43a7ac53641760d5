"""Named as Django looks for it: ENGINE is ``saga_project.database``."""

from __future__ import annotations

from typing import Any

from django.db import connections
from django.db.backends.postgresql import base

from saga_project.database import watch


class DatabaseWrapper(base.DatabaseWrapper):
    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        if watch.is_silent():
            raise watch.NoAnswer
        return super().get_new_connection(conn_params)


def watch_over() -> watch.Watch:
    """Return a watch over the default database, which ends its pool at an outage.

    Whoever waits for a connection then is told at once, nobody gets one that broke, and the first who comes
    afterwards begins a new pool, that has not to get over what failed.
    """
    wrapper = connections["default"]
    assert isinstance(wrapper, DatabaseWrapper)  # noqa: S101 (settings know no other)
    return watch.Watch(wrapper.get_connection_params(), silenced=wrapper.close_pool)
