"""What an agent does with orders: each once, in order, and only while it may."""

from __future__ import annotations

import datetime as dt
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import saga_client
from click.testing import CliRunner

from saga_project.agent import allowances, commands, execution, worker
from saga_project.agent.configuration import Allowed, ConfigurationInvalid, read
from saga_project.agent.state import AgentState, Identity
from tests import waiting
from updates.rollouts.agents import envelopes

PRIVATE, PUBLIC = envelopes.make_key()
TARGET = {
    "name": "web",
    "installer": "directory",
    "install_root": "",
    "restart": "none",
    "restart_with": "",
    "instance_id": "",
    "current_version": "",
}
DOCUMENT: dict[str, Any] = {
    "service_name": "shop",
    "job_id": "1",
    "version": "1.0.0",
    "previous": None,
    "artifact_sha256": "",
    "fence": 5,
    "environment": {"plain": {}, "sealed": {}},
    "target": TARGET,
}


class Calls:
    """Answers in the place of Saga."""

    def __init__(self) -> None:
        self.outcomes: list[tuple[str, Any]] = []

    def call(self, method: str, path: str, *, body: Any, **_: Any) -> Any:
        if path.endswith("/outcome"):
            self.outcomes.append((path.split("/")[3], body))
        return {"is_wanted": True}


@pytest.fixture
def calls() -> Calls:
    return Calls()


@pytest.fixture
def agent(tmp_path: Path, calls: Calls) -> worker.Agent:
    state = AgentState(tmp_path)
    state.write_identity(
        Identity(server="http://127.0.0.1:9", node="web1", token="t", public_key=PUBLIC)
    )
    made = worker.Agent(state, Allowed())
    made._calls = calls  # type: ignore[assignment]
    made.is_stopping.wait = lambda *_: made.is_stopping.is_set()  # type: ignore[method-assign]
    return made


@pytest.fixture
def done(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The ids of orders that were done."""
    found: list[str] = []

    def perform(order: dict[str, Any], **_: Any) -> dict[str, Any]:
        found.append(order["id"])
        return {"kind": "succeeded", "message": ""}

    monkeypatch.setattr(execution, "perform", perform)
    return found


def order(order_id: str, **changes: Any) -> str:
    document = {
        "id": order_id,
        "node": "web1",
        "subject": "shop/web",
        "fence": 5,
        "action": "switch",
        "expires_at": (dt.datetime.now(dt.UTC) + dt.timedelta(seconds=60)).isoformat(),
        "document": {**DOCUMENT, "fence": changes.get("fence", 5)},
        **changes,
    }
    return envelopes.sign(document, private=PRIVATE)


def begin(agent: worker.Agent, *envelopes_: str) -> None:
    for envelope in envelopes_:
        agent._begin(envelope)
    waiting.until(lambda: not agent._running)


def test_order_that_was_done_is_answered_again_and_not_done_again(
    agent: worker.Agent, calls: Calls, done: list[str]
) -> None:
    begin(agent, order("a"))
    begin(agent, order("a"))

    assert done == ["a"]
    assert [order_id for order_id, _ in calls.outcomes] == ["a", "a"]


def test_order_of_an_older_worker_is_refused(agent: worker.Agent, done: list[str]) -> None:
    begin(agent, order("new", fence=6))
    begin(agent, order("old", fence=5))

    assert done == ["new"]


def test_fence_is_remembered_after_a_restart(
    agent: worker.Agent, done: list[str], tmp_path: Path
) -> None:
    begin(agent, order("new", fence=6))

    assert not AgentState(tmp_path).raise_fence("shop/web", 5)
    assert AgentState(tmp_path).raise_fence("shop/web", 6)


@pytest.mark.parametrize(
    "envelope",
    [
        order("a", node="web2"),
        order("a", expires_at="2020-01-01T00:00:00+00:00"),
        envelopes.sign({"id": "a"}, private=envelopes.make_key()[0]),
    ],
    ids=["for another node", "expired", "by another key"],
)
def test_forged_expired_and_foreign_orders_are_refused(
    agent: worker.Agent, done: list[str], envelope: str
) -> None:
    begin(agent, envelope)

    assert not done


def test_newer_order_ends_the_older_one_of_its_target(
    agent: worker.Agent, calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    began = threading.Event()

    def perform(order: dict[str, Any], *, checkpoint: Callable[[], None], **_: Any) -> Any:
        began.set()
        while order["id"] == "old":
            checkpoint()
        return {"kind": "succeeded", "message": ""}

    monkeypatch.setattr(execution, "perform", perform)
    agent._begin(order("old"))
    began.wait(30)

    begin(agent, order("new", fence=6))

    assert [order_id for order_id, _ in calls.outcomes] == ["new"]


def test_step_ends_once_the_agent_is_without_contact_for_long(
    agent: worker.Agent, calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "CONTACT_SECONDS", -1.0)

    begin(agent, order("a"))

    assert not calls.outcomes


def test_outcome_is_delivered_once_saga_is_back(
    agent: worker.Agent, calls: Calls, done: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = iter([saga_client.Unreachable("away"), saga_client.Unreachable("away"), None])
    inner = calls.call

    def call(*words: Any, **options: Any) -> Any:
        if failure := next(answers):
            raise failure
        return inner(*words, **options)

    monkeypatch.setattr(calls, "call", call)

    begin(agent, order("a"))

    assert done == ["a"]
    assert len(calls.outcomes) == 1


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"installer": "systemd"}, "installers"),
        ({"install_root": "/etc"}, "install_roots"),
        ({"install_root": "/srv/../etc"}, "install_roots"),
        ({"restart": "systemd", "restart_with": "sshd.service"}, "units"),
        ({"restart": "signal", "restart_with": "/run/sshd.pid"}, "pid_files"),
        ({"name": "../../other"}, "no name"),
    ],
)
def test_host_refuses_what_its_file_does_not_list(change: dict[str, str], word: str) -> None:
    allowed = Allowed(install_roots=("/srv",), units=("shop.service",))

    fault = fault_of(allowed, action="restart", target={**TARGET, **change})

    assert fault is not None
    assert word in fault


def fault_of(allowed: Allowed, *, action: str = "switch", **changes: Any) -> str | None:
    wanted = {"action": action, "fence": 5, "document": {**DOCUMENT, **changes}}
    return allowances.fault(wanted, allowed, services=Path("/var/lib/saga-agent/services"))


def test_order_of_what_the_file_lists_is_taken() -> None:
    target = {**TARGET, "install_root": "/srv/shop", "instance_id": "a:1"}
    environment = {"plain": {"PORT": "80"}, "sealed": {"SHOP_KEY": "x"}}
    allowed = Allowed(install_roots=("/srv",), variables=("PORT", "SHOP_*"))

    assert fault_of(allowed, target=target, environment=environment) is None


def test_order_of_a_job_with_a_long_id_is_taken() -> None:
    name, version = "a..b" + "s" * 124, "1.0.0-" + "9" * 122

    changes = {"service_name": name, "version": version, "job_id": f"rollback-{name}-{version}-1"}

    assert fault_of(Allowed(), **changes) is None


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"service_name": ".."}, "no name"),
        ({"version": "../1"}, "no name"),
        ({"previous": "/etc"}, "no name"),
        ({"job_id": "a/b"}, "no name"),
        ({"job_id": "-a"}, "no name"),
        ({"job_id": "a" * 301}, "no name"),
        ({"artifact_sha256": "../../../etc/shadow"}, "no name"),
        ({"target": {**TARGET, "instance_id": "--config=/tmp/x"}}, "no name"),
        ({"fence": 6}, "fence"),
        ({"fence": "../.."}, "fence"),
        ({"fence": True}, "fence"),
        ({"version": 1}, "cannot read"),
        ({"target": {}}, "cannot read"),
    ],
    ids=str,
)
def test_text_that_leads_out_of_the_folders_is_refused(change: dict[str, Any], word: str) -> None:
    fault = fault_of(Allowed(), **change)

    assert fault is not None
    assert word in fault


@pytest.mark.parametrize("kind", ["plain", "sealed"])
@pytest.mark.parametrize("name", ["PATH", "LD_PRELOAD", "BASH_ENV", "SAGA_ARTIFACT", "XSHOP_A"])
def test_variable_that_decides_what_a_command_runs_is_refused(kind: str, name: str) -> None:
    environment = {"plain": {}, "sealed": {}, kind: {name: "/srv/shop/current/evil"}}
    allowed = Allowed(variables=("PORT", "SHOP_*", "SAGA_*"))

    fault = fault_of(allowed, environment=environment)

    assert fault is not None
    assert "variables" in fault


def test_link_out_of_an_allowed_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "srv").mkdir()
    (tmp_path / "srv" / "shop").symlink_to("/etc")
    target = {**TARGET, "install_root": str(tmp_path / "srv" / "shop")}
    allowed = Allowed(install_roots=(str(tmp_path / "srv"),))

    fault = fault_of(allowed, target=target)

    assert fault is not None
    assert "install_roots" in fault


@pytest.mark.parametrize(
    "text", ["commands = 3", 'units = "a"', "unknown = []", "commands = {a = []}", "x ="]
)
def test_file_that_cannot_be_read_stops_the_agent(tmp_path: Path, text: str) -> None:
    (tmp_path / "agent.toml").write_text(text)

    with pytest.raises(ConfigurationInvalid):
        read(tmp_path)


def test_file_lists_what_the_host_allows(tmp_path: Path) -> None:
    (tmp_path / "agent.toml").write_text(
        'install_roots = ["/srv"]\n[commands]\nrestart-shop = ["/usr/bin/true", "{instance}"]\n'
    )

    allowed = read(tmp_path)

    assert allowed.install_roots == ("/srv",)
    assert allowed.commands == {"restart-shop": ["/usr/bin/true", "{instance}"]}
    assert allowed.installers == ("directory", "command")


@pytest.mark.parametrize("words", [[], ["run"]])
def test_options_without_a_command_are_those_of_run(tmp_path: Path, words: list[str]) -> None:
    options = ["--server", "http://saga.example.com", "--token", "x", "--folder", str(tmp_path)]

    done = CliRunner().invoke(commands.agent, [*words, *options])

    assert done.exit_code == 2
    assert "use an https address" in done.output


def test_identity_is_readable_by_its_owner_only(agent: worker.Agent, tmp_path: Path) -> None:
    assert (tmp_path / "identity.json").stat().st_mode & 0o077 == 0


READ_SETTINGS = """
import pathlib, re, sys
from saga_project.agent import configuration
configuration.begin(pathlib.Path(sys.argv[1]), configuration.Allowed(), node="web1")
import saga_project.agent.worker
from django.conf import settings
rooms = ("saga_project.", "registry.", "updates.")
files = [module.__file__ for name, module in sys.modules.items() if name.startswith(rooms)]
texts = [pathlib.Path(file).read_text() for file in files if file]
named = {name for text in texts for name in re.findall(r"\\bsettings\\.([A-Z_]+)", text)}
print(*sorted(name for name in named if not hasattr(settings, name)))
"""


def test_agent_has_every_setting_that_its_modules_read_but_the_keys(tmp_path: Path) -> None:
    command = [sys.executable, "-c", READ_SETTINGS, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)

    assert done.stdout.split() == ["SAGA_ENCRYPTION_KEYS"]
