from __future__ import annotations

from typing import Any

import pytest


@pytest.fixture
def celery_messages(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Collect name and arguments of tasks that are sent to the queue, except policies'."""
    messages: list[Any] = []

    def note(task: str, args: list[Any], **_: Any) -> None:
        if task != "updates.apply_policy":
            messages.append((task, args))

    monkeypatch.setattr("celery.current_app.send_task", note)
    return messages
