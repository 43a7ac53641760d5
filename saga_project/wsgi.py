"""Django, called the synchronous way; ``asgi`` puts its threads around it."""

from __future__ import annotations

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "saga_project.settings")
application = get_wsgi_application()
