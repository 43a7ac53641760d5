from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import celery
from django.conf import settings
from rest_framework.test import APIClient


def test_every_thread_that_serves_requests_sends_tasks_to_our_broker(api: APIClient) -> None:
    api.get("/livez")

    with ThreadPoolExecutor(1) as threads:
        url = threads.submit(lambda: celery.current_app.conf.broker_url).result()

    assert url == settings.CELERY_BROKER_URL
