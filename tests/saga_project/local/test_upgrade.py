"""An upgrade without an outage: the processes of the previous release go on over the new schema."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import models
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.state import ModelState, ProjectState

from tests import previous_release, waiting, webserver
from tests.webserver import WebServer

APPS = ("registry", "updates", "webhooks")


def states() -> tuple[ProjectState, ProjectState]:
    """Return the models of the previous release and those of this one, by their migrations."""
    loader = MigrationLoader(None, replace_migrations=False)
    for key, migration in loader.replacements.items():
        loader.graph.remove_replacement_node(key, migration.replaces)
    leaves = [node for node in loader.graph.leaf_nodes() if node[0] not in APPS]
    former = [(app, previous_release.migrations(app)[-1]) for app in APPS]
    return loader.project_state([*leaves, *former]), loader.project_state()


def accepts_rows_without_it(field: models.Field[Any, Any]) -> bool:
    return field.null or field.many_to_many or field.has_db_default()


def columns(model: ModelState) -> dict[str, models.Field[Any, Any]]:
    """Return the fields by the names of their columns: a field may be renamed, its column may not."""
    return {field.db_column or name: field for name, field in model.fields.items()}


def breaches(former: ProjectState, present: ProjectState) -> Iterator[str]:
    """Yield what processes of the previous release cannot work with."""
    for key in sorted(name for name in former.models if name[0] in APPS):
        if key not in present.models:
            yield f"{'.'.join(key)} is gone"
            continue
        before, after = columns(former.models[key]), columns(present.models[key])
        yield from (f"{'.'.join(key)}.{name} is gone" for name in sorted(set(before) - set(after)))
        for name in sorted(set(after) - set(before)):
            if not accepts_rows_without_it(after[name]):
                yield f"{'.'.join(key)}.{name} has no db_default"


def test_the_previous_release_can_write_every_table() -> None:
    assert list(breaches(*states())) == []


def test_a_column_without_a_default_is_found() -> None:
    former, present = states()
    present.models["registry", "service"].fields["colour"] = models.TextField()
    del present.models["registry", "instance"].fields["url"]

    assert list(breaches(former, present)) == [
        "registry.instance.url is gone",
        "registry.service.colour has no db_default",
    ]


@pytest.fixture
def former(tmp_path: Path, transactional_db: None, redis: object) -> Iterator[WebServer]:
    previous_release.extract(tmp_path)
    with webserver.serving(root=tmp_path) as server:
        yield server


CALLS: list[tuple[str, dict[str, Any] | None, int]] = [
    ("services/register", {"service_name": "pay", "service_url": "http://localhost:1"}, 200),
    ("services/pay/heartbeat", {"health": "warning"}, 200),
    ("services/pay", None, 200),
    ("services", None, 200),
    (
        "subscriptions",
        {
            "service_name": "pay",
            "subscriber": "tests",
            "callback_url": "http://127.0.0.1:9/hook",
            "topics": ["service.*"],
        },
        201,
    ),
    ("webhooks/config", {"service_name": "pay", "endpoints": {"chat": "http://127.0.0.1:9/"}}, 200),
    (
        "webhooks/update",
        {
            "service_name": "pay",
            "version": "2.0.0",
            "artifact_url": "http://127.0.0.1:9/pay.tar.gz",
        },
        202,
    ),
    ("webhooks/deploy", {"service_name": "pay", "version": "2.0.0"}, 202),
    ("webhooks/health", {"service_name": "pay", "status": "healthy"}, 200),
    ("updates/history", None, 200),
    ("updates/jobs", None, 200),
    ("events?service=pay", None, 200),
]


def test_web_processes_of_the_previous_release_serve_over_the_new_schema(former: WebServer) -> None:
    waiting.until(lambda: former.get("/readyz").ok)

    answers = {
        path: former.get(f"/api/v1/{path}")
        if body is None
        else former.post(f"/api/v1/{path}", json=body)
        for path, body, _ in CALLS
    }

    found = {path: answer.status_code for path, answer in answers.items()}
    assert former.get("/api/v1/policies").status_code == 404, (
        "this release answers, not the previous"
    )
    assert found == {path: status for path, _, status in CALLS}, {
        path: answer.text for path, answer in answers.items() if answer.status_code >= 400
    }
