"""``saga://`` addresses, called by urllib3 and by requests."""

from __future__ import annotations

from typing import Any

import pytest
import requests
import saga_client
import urllib3
from pytest_httpserver import HTTPServer
from saga_client import models
from werkzeug import Request, Response

from saga_project.local.embedded import processes


class Known:
    """What discovery knows, in turn."""

    def __init__(self, *urls: str) -> None:
        self.urls = list(urls)
        self.asked: list[tuple[str, str | None, str | None]] = []

    def discover(self, name: str, version: str | None = None, zone: str | None = None) -> Any:
        self.asked.append((name, version, zone))
        if not self.urls:
            raise saga_client.NoInstance("none")
        self.urls.append(self.urls.pop(0))
        return models.Instance(name, "i", self.urls[-1], "passing", 1, None, None, {})


def dead() -> str:
    return f"http://127.0.0.1:{processes.any_free_port()}"


def answering(httpserver: HTTPServer) -> str:
    def answer(request: Request) -> Response:
        return Response(f"{request.method} {request.full_path}")

    httpserver.expect_request("/v1/invoices").respond_with_handler(answer)
    return httpserver.url_for("/v1/")


def by_urllib3(known: Known, method: str, url: str, **options: Any) -> str:
    pool = saga_client.ServicePool(known, **options)  # type: ignore[arg-type]
    return str(pool.request(method, url).data.decode())


def by_requests(known: Known, method: str, url: str, **options: Any) -> str:
    with saga_client.SagaSession(known, **options) as session:  # type: ignore[arg-type]
        return session.request(method, url).text


BOTH = pytest.mark.parametrize("call", [by_urllib3, by_requests])


@BOTH
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_call_goes_to_another_instance_where_one_takes_no_connection(
    call: Any, method: str, httpserver: HTTPServer
):
    known = Known(dead(), answering(httpserver))

    text = call(
        known, method, "saga://billing/invoices?page=2#top", zone="a", versions={"billing": ">=1"}
    )

    assert text == f"{method} /v1/invoices?page=2"
    assert known.asked == [("billing", ">=1", "a")] * 2


@BOTH
def test_call_fails_where_no_instance_takes_a_connection(call: Any):
    known = Known(dead(), dead(), dead(), dead())

    with pytest.raises(
        (requests.ConnectionError, urllib3.exceptions.MaxRetryError), match=r"127\.0\.0\.1"
    ):
        call(known, "GET", "saga://billing/invoices")

    assert len(known.asked) == 3


@BOTH
def test_service_without_an_instance_is_named(call: Any):
    with pytest.raises(saga_client.NoInstance):
        call(Known(), "GET", "saga://billing")


@BOTH
@pytest.mark.parametrize("url", ["saga://", "saga://a:80/x", "saga://user@billing/", "saga://a b/"])
def test_address_that_names_no_service_is_refused(call: Any, url: str, httpserver: HTTPServer):
    with pytest.raises(ValueError, match=r"(?i)saga://|host"):
        call(Known(answering(httpserver)), "GET", url)


@BOTH
def test_other_addresses_go_out_as_they_are(call: Any, httpserver: HTTPServer):
    known = Known()

    assert call(known, "GET", f"{answering(httpserver)}invoices").startswith("GET")
    assert known.asked == []


def test_requests_renders_parameters(httpserver: HTTPServer):
    with saga_client.SagaSession(Known(answering(httpserver))) as session:  # type: ignore[arg-type]
        answer = session.get("saga://Billing.v2/invoices", params={"page": "3"})

    assert answer.text == "GET /v1/invoices?page=3"


@BOTH
def test_answer_that_breaks_off_is_asked_for_once(call: Any, httpserver: HTTPServer):
    calls = []

    def fail(_: Request) -> Response:
        calls.append(1)
        return Response("no", 500)

    httpserver.expect_request("/v1/broken").respond_with_handler(fail)
    known = Known(httpserver.url_for("/v1"))

    assert call(known, "POST", "saga://billing/broken") == "no"
    assert calls == [1]
