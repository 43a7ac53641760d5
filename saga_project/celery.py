"""Celery: the background work, its queues and its schedule.

The rows in PostgreSQL are the truth; a lost message costs time until the next beat, nothing else.
"""

from __future__ import annotations

import os
import sys

from celery import Celery
from celery.schedules import crontab
from django.conf import settings

from saga_project.shared import broker, tracing

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "saga_project.settings")

tracing.begin()
broker.use_steady_acknowledgements()
_import_path = list(sys.path)
app = Celery("saga")
# Celery puts the present folder first on the import path, where any folder called registry would hide ours.
sys.path[:] = _import_path
app.config_from_object(settings, namespace="CELERY")
app.autodiscover_tasks()
# For all threads; otherwise only the one that imports this would send tasks to our broker.
app.set_default()

app.conf.update(
    accept_content=["json"],
    beat_scheduler="saga_project.local.beat:ElectedScheduler",
    broker_connection_max_retries=None,
    broker_connection_retry_on_startup=True,
    task_default_queue="updates",
    task_ignore_result=True,
    task_publish_retry=False,
    task_routes={"updates.*": {"queue": "updates"}, "webhooks.*": {"queue": "webhooks"}},
    task_serializer="json",
    worker_hijack_root_logger=False,
    worker_prefetch_multiplier=1,
    worker_soft_shutdown_timeout=10,
)

# Time-critical loops are in ``sweeps``. What is not begun within its period is dropped.
app.conf.beat_schedule = {
    "updates: check sources that are due": {
        "task": "updates.enqueue_checks",
        "schedule": 15.0,
        "options": {"expires": 15},
    },
    "updates: apply policies": {
        "task": "updates.apply_policies",
        "schedule": 60.0,
        "options": {"expires": 60},
    },
    "updates: forward the audit trail": {
        "task": "updates.forward_audit",
        "schedule": 15.0,
        "options": {"expires": 15},
    },
    "webhooks: fetch what GitHub could not deliver": {
        "task": "webhooks.recover",
        "schedule": 600.0,
        "options": {"expires": 600},
    },
    "webhooks: purge old calls and deliveries": {
        "task": "webhooks.purge",
        "schedule": crontab(minute="37"),
        "options": {"expires": 600},
    },
}
