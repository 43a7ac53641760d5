"""Log lines: their request, their form, and never a secret."""

from __future__ import annotations

import json
import logging
import logging.config
from collections.abc import Iterator
from typing import Any

import celery
import kombu
import pytest
import structlog
from celery import beat
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.test import Client, RequestFactory

from saga_project.shared import api, logs


@pytest.fixture(params=["json", "console"])
def form(request: pytest.FixtureRequest) -> Iterator[str]:
    yield request.param
    logging.config.dictConfig(settings.LOGGING)


def line(form: str, capsys: pytest.CaptureFixture[str], text: str, **extra: Any) -> str:
    logging.config.dictConfig(logs.configuration(form=form, level="INFO"))
    logging.getLogger("saga.test").info(text, extra=extra)
    return capsys.readouterr().err


def test_json_is_one_object_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    written = line("json", capsys, "instance expired", service="pay")
    logging.config.dictConfig(settings.LOGGING)

    document = json.loads(written)
    assert written.count("\n") == 1
    assert document.pop("timestamp").endswith("Z")
    assert document == {
        "event": "instance expired",
        "level": "info",
        "logger": "saga.test",
        "service": "pay",
    }


def test_every_line_carries_the_request(form: str, capsys: pytest.CaptureFixture[str]) -> None:
    with structlog.contextvars.bound_contextvars(request_id="req-7"):
        assert "req-7" in line(form, capsys, "hello")


@pytest.mark.parametrize(
    "extra",
    [
        {"password": "hunter2hunter2"},
        {"webhook_secret": "hunter2hunter2"},
        {"headers": {"Authorization": "hunter2hunter2"}},
        {"headers": [{"X-Webhook-Signature": "ok"}, {"cookie": "hunter2hunter2"}]},
        {"header": "Bearer hunter2hunter2"},
        {"url": "postgresql://saga:hunter2hunter2@127.0.0.1/saga"},
        {"note": "used saga_hunter2hunter2hunter2 here"},
        {"note": "whsec_hunter2hunter2hunter2"},
    ],
)
def test_no_secret_is_written(
    form: str, capsys: pytest.CaptureFixture[str], extra: dict[str, Any]
) -> None:
    written = line(form, capsys, "called", **extra)

    assert "hunter2" not in written
    assert logs.HIDDEN in written


@pytest.mark.parametrize(
    "text",
    [
        f"Forbidden (CSRF cookie not set.): /admin/approve/{'0f' * 16}.{'3c' * 32}/",
        f"joins with sagajoin_{'3c' * 16}.{'0f' * 16}",
    ],
)
def test_neither_links_nor_join_tokens_are_written(
    form: str, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    written = line(form, capsys, text)

    assert "3c3c" not in written
    assert logs.HIDDEN in written


def test_no_secret_is_written_with_an_error(form: str, capsys: pytest.CaptureFixture[str]) -> None:
    logging.config.dictConfig(logs.configuration(form=form, level="INFO"))
    try:
        raise ConnectionError("redis://:hunter2hunter2@localhost:6379/0")
    except ConnectionError:
        logging.getLogger("saga.test").exception("lost")

    written = capsys.readouterr().err
    assert "ConnectionError" in written
    assert "hunter2" not in written


def test_what_is_no_secret_stays(form: str, capsys: pytest.CaptureFixture[str]) -> None:
    written = line(form, capsys, "token issued", token_prefix="saga_abc", service="pay")

    assert "saga_abc" in written
    assert logs.HIDDEN not in written


def test_a_request_gives_its_lines_its_id_and_takes_it_along() -> None:
    seen: list[str] = []

    def view(request: HttpRequest) -> HttpResponse:
        seen.append(structlog.contextvars.get_contextvars()["request_id"])
        return HttpResponse()

    middleware = api.RequestIdMiddleware(view)
    response = middleware(RequestFactory().get("/", headers={"X-Request-ID": "req-9"}))

    assert seen == ["req-9"]
    assert response["X-Request-ID"] == "req-9"
    assert "request_id" not in structlog.contextvars.get_contextvars()


def test_a_message_that_redis_refuses_is_one_line_of_beat(
    form: str, capsys: pytest.CaptureFixture[str]
) -> None:
    logging.config.dictConfig(logs.configuration(form=form, level="INFO"))
    schedule = beat.Scheduler(celery.current_app, lazy=True)
    entry = schedule.Entry(
        name="purge", task="webhooks.purge", args=(BaseException,), app=schedule.app
    )

    schedule.apply_entry(entry, producer=kombu.Producer(celery.current_app.connection()))

    written = capsys.readouterr().err
    assert written.count("\n") == 1
    assert "Couldn't apply scheduled task purge" in written


def test_a_refused_host_is_one_line(form: str, capsys: pytest.CaptureFixture[str]) -> None:
    logging.config.dictConfig(logs.configuration(form=form, level="INFO"))

    answer = Client(raise_request_exception=False).get("/admin/", headers={"Host": "evil.example"})

    written = capsys.readouterr().err
    assert answer.status_code == 400
    assert written.count("\n") == 1
    assert "evil.example" in written
    assert "Traceback" not in written
