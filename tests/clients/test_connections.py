"""Connections that are kept: an answer that was not read to its end spoils no later call on them."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import saga_client
from saga_client import running

ANSWER = b'{"error": "' + b"x" * 100_000 + b'"}'


class Handler(BaseHTTPRequestHandler):
    """Keeps connections, and asks for a token in all calls but those of ``/check``."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer(200, ANSWER)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        if "Authorization" in self.headers:
            self._answer(200, b"{}")
        else:
            self._answer(401, ANSWER)

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def address() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_a_change_is_sent_again_with_the_local_token(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "local_token").write_text("the-local-token\n")
    monkeypatch.setenv("SAGA_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))

    with contextlib.closing(saga_client.Saga(address)) as saga:
        assert saga.call("POST", "/services/register", body={}) == {}


def test_a_check_whose_answers_are_long_passes_each_time(address: str) -> None:
    assert [running.probe(f"{address}/check") for _ in range(3)] == [True] * 3
