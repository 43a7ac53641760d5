"""An agent behind an outgoing proxy: tinyproxy and squid between it and Saga, and what goes without one."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import saga_client
from pytest_httpserver import HTTPServer
from saga_client import proxies, transport

from saga_project.agent import configuration
from tests import proxy_servers, real_proxies
from tests.saga_project.agent.test_certificates import write_certificate
from tests.updates.rollouts.agent_hosts import AgentProcess, until_alive
from updates.models import Node

#: A network of documents (RFC 5737): only the proxy at the end of the way knows where it leads.
ADDRESS = "192.0.2.1"
#: Each hands on to that proxy, as to one of another office.
CHAINED = {
    "tinyproxy": "Port {port}\nListen 127.0.0.1\nAllow 127.0.0.1\nUpstream http 127.0.0.1:{parent}\n",
    "squid": """\
http_port 127.0.0.1:{port}
http_access allow all
cache_peer 127.0.0.1 parent {parent} 0 no-query no-digest default
never_direct allow all
cache deny all
access_log none
cache_log {folder}/cache.log
pid_filename none
coredump_dir {folder}
shutdown_lifetime 0 seconds
""",
}


@pytest.fixture(params=CHAINED)
def proxy(request: pytest.FixtureRequest, live_server: Any, tmp_path: Path) -> Iterator[str]:
    routes = {f"{ADDRESS}:8030": int(live_server.url.rpartition(":")[2])}
    name, folder = request.param, tmp_path / "proxy"
    folder.mkdir()
    with (
        proxy_servers.running(routes) as parent,
        real_proxies.running(name, CHAINED[name], folder, parent=parent.port) as port,
    ):
        yield f"http://127.0.0.1:{port}"


def test_agent_joins_and_works_through_a_proxy(
    transactional_db: None, redis: object, proxy: str, tmp_path: Path, settings: Any
) -> None:
    settings.ALLOWED_HOSTS = [ADDRESS]
    agent = AgentProcess(tmp_path / "agent", f"http://{ADDRESS}:8030")
    (agent.folder / "agent.toml").write_text(f'proxy = "{proxy}"\nno_proxy = ["10.0.0.0/8"]\n')

    assert agent.join("--insecure-http") == 0
    agent.start()
    try:
        until_alive()
    finally:
        agent.kill()
        agent.until_polls_ended()

    assert Node.objects.get().seen_at is not None


def test_client_uses_a_tunnel_and_a_login_for_https(tmp_path: Path) -> None:
    certificate = write_certificate(tmp_path, address=ADDRESS)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    trusting = ssl.create_default_context(cafile=str(certificate))
    with HTTPServer(host="127.0.0.1", port=0, ssl_context=context) as server:
        server.expect_request("/api/v1/health").respond_with_json({"status": "healthy"})
        routes = {f"{ADDRESS}:443": server.port}
        with proxy_servers.running(routes, login="web1:s p@ce") as proxy:
            login = f"http://web1:s%20p%40ce@127.0.0.1:{proxy.port}"
            url = f"https://{ADDRESS}"
            answer = transport.Transport(url, tls=trusting, proxy=login).call("GET", "/health")
            head = proxy.next_request()
            bare = f"http://127.0.0.1:{proxy.port}"
            anonymous = transport.Transport(url, tls=trusting, proxy=bare)
            with pytest.raises(saga_client.Unreachable) as refused:
                anonymous.call("GET", "/health")

    assert answer == {"status": "healthy"}
    assert head.startswith(f"CONNECT {ADDRESS}:443")
    assert "outgoing proxy" in str(refused.value)
    assert "s p@ce" not in str(refused.value)


@pytest.mark.parametrize(
    ("url", "exceptions", "is_proxied"),
    [
        ("https://saga.example.com", "", True),
        ("https://saga.example.com", "example.com", False),
        ("https://saga.example.com", ".example.com", False),
        ("https://saga.example.com", "*.example.com, other", False),
        ("https://saga.example.com", "ample.com", True),
        ("https://saga.example.com", "*", False),
        ("https://10.1.2.3", "10.0.0.0/8", False),
        ("https://10.1.2.3", "10.1.2.4", True),
        ("https://[fd00::1]", "fd00::/8", False),
        ("https://127.0.0.1:8030", "", False),
        ("https://localhost:8030", "", False),
        ("http://saga.example.com", "", False),  # HTTPS_PROXY is of https
    ],
)
def test_environment_names_the_proxy_and_what_goes_without_it(
    monkeypatch: pytest.MonkeyPatch, url: str, exceptions: str, is_proxied: bool
) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("HTTPS_PROXY", "proxy.example:3128")
    monkeypatch.setenv("NO_PROXY", exceptions)

    assert proxies.for_url(url, None) == ("http://proxy.example:3128" if is_proxied else "")
    assert proxies.for_url(url, "") == ""


def test_proxy_of_socks_is_wrong_usage(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "socks5://proxy.example:1080")

    with pytest.raises(ValueError, match="of 'socks5', which cannot be used"):
        transport.Transport("https://saga.example.com")


def test_file_of_the_host_wins_over_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://environment.example:3128")
    monkeypatch.delenv("https_proxy", raising=False)
    inherited = configuration.read(tmp_path)
    (tmp_path / "agent.toml").write_text('proxy = "http://file.example:3128"\n')
    named = configuration.read(tmp_path)
    (tmp_path / "agent.toml").write_text('proxy = ""\n')
    none = configuration.read(tmp_path)

    assert inherited.proxy_for("https://saga.example") == "http://environment.example:3128"
    assert named.proxy_for("https://saga.example") == "http://file.example:3128"
    assert named.proxy_for("https://10.0.0.7") == "", "networks of the host are called without it"
    assert none.proxy_for("https://saga.example") == ""


@pytest.mark.parametrize(
    "text", ["proxy = 'socks5://p:1'", "proxy = 5", "proxy = 'http://p:1'\nno_proxy = ['a b']"]
)
def test_proxy_that_cannot_be_used_stops_the_agent(tmp_path: Path, text: str) -> None:
    (tmp_path / "agent.toml").write_text(text)

    with pytest.raises(configuration.ConfigurationInvalid, match="proxy"):
        configuration.read(tmp_path)
