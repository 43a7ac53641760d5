"""Django, called the synchronous way; ``asgi`` puts its threads around it."""

from __future__ import annotations

import gc
import importlib
import os

from django.conf import settings
from django.core.wsgi import get_wsgi_application

from saga_project.shared import tracing

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "saga_project.settings")
# A connection for each thread of asgi.py, at most; settings leave the pool out where Celery works.
os.environ.setdefault("SAGA_DATABASE_POOL", "20")
tracing.begin()
application = get_wsgi_application()
# The views, which would come with the first request otherwise.
importlib.import_module(settings.ROOT_URLCONF)
# All of that lives for ever, and looking through it for garbage would halt every answer for 0.1 s at times.
gc.freeze()
