"""Celery: the background work, its queues and its schedule.

The rows in PostgreSQL are the truth; a lost message costs time until the next beat, nothing else.
"""

from __future__ import annotations

import os

from celery import Celery
from celery.schedules import crontab
from django.conf import settings

from saga_project.shared import tracing

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "saga_project.settings")

tracing.begin()
app = Celery("saga")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
# For all threads; otherwise only the one that imports this would send tasks to our broker.
app.set_default()

# What is not begun within its period is dropped: the next beat asks again.
app.conf.beat_schedule = {
    "registry: expire what is overdue": {
        "task": "registry.sweep",
        "schedule": 1.0,
        "options": {"expires": 2},
    },
    "registry: flush heartbeats": {
        "task": "registry.flush",
        "schedule": 5.0,
        "options": {"expires": 10},
    },
    "registry: count misses": {
        "task": "registry.count_misses",
        "schedule": float(settings.REGISTRY_HEARTBEAT_MONITOR_INTERVAL),
        "options": {"expires": settings.REGISTRY_HEARTBEAT_MONITOR_INTERVAL},
    },
    "registry: reconcile readers": {
        "task": "registry.reconcile",
        "schedule": 20.0,
        "options": {"expires": 20},
    },
    "registry: purge old keys and events": {
        "task": "registry.purge",
        "schedule": crontab(minute="17"),
        "options": {"expires": 600},
    },
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
    "updates: wake whoever should work on a job": {
        "task": "updates.sweep_jobs",
        "schedule": 2.0,
        # Not behind the deployments themselves: it wakes them, and ends their pauses.
        "options": {"expires": 4, "queue": "registry"},
    },
    "webhooks: deliver what is due": {
        "task": "webhooks.deliver",
        "schedule": 5.0,
        "options": {"expires": 5},
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
