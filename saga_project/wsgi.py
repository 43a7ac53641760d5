"""Django, called the synchronous way; ``asgi`` puts its threads around it."""

from __future__ import annotations

import gc
import importlib
import os

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.db import connections

from saga_project.local import embedded
from saga_project.shared import tracing

#: A connection for each thread of asgi.py, at most.
POOL_SIZE = 20

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "saga_project.settings")
tracing.begin()
application = get_wsgi_application()
# The views, which would come with the first request otherwise.
importlib.import_module(settings.ROOT_URLCONF)
# All of that lives for ever, and looking through it for garbage would halt every answer for 0.1 s at times.
gc.freeze()


def pool_connections() -> None:
    """Share connections among the threads of a web process; settings leave the pool out for Celery.

    Called before the process answers: connections that are open by then stay as they are.
    """
    if not settings.SAGA_DATABASE_POOL:
        pooled = embedded.parse_database_url(settings.DATABASE_URL, pool_size=POOL_SIZE)
        connections.settings["default"].update(
            OPTIONS=pooled["OPTIONS"], CONN_MAX_AGE=pooled["CONN_MAX_AGE"]
        )
