"""The command line against a whole stack: what it sends, prints and exits with."""

from __future__ import annotations

import hashlib
import io
import select
import signal
import stat
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import click
import pytest
import yaml
from pytest_httpserver import HTTPServer
from saga_client.command_line import main
from werkzeug import Response

from tests import stack as stacks
from tests import waiting
from tests.clients.conftest import SOURCE, CommandLine

pytestmark = pytest.mark.xdist_group("clients")


def walk(command: click.Command, *path: str) -> list[tuple[str, ...]]:
    """Return the words of each command below, the groups included."""
    found = [path]
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner is not None
            found += walk(inner, *path, name)
    return found


def archive(version: str) -> bytes:
    output = io.BytesIO()
    with tarfile.open(fileobj=output, mode="w:gz") as file:
        content = version.encode()
        member = tarfile.TarInfo("VERSION")
        member.size = len(content)
        file.addfile(member, io.BytesIO(content))
    return output.getvalue()


@pytest.fixture
def publish(httpserver: HTTPServer) -> Any:
    def serve(name: str, version: str) -> list[str]:
        """Serve an artifact and return the options that name it."""
        body = archive(version)
        httpserver.expect_request(f"/{name}-{version}.tar.gz").respond_with_data(body)
        url = httpserver.url_for(f"/{name}-{version}.tar.gz")
        checksum = f"sha256:{hashlib.sha256(body).hexdigest()}"
        return ["--artifact-url", url, "--checksum", checksum, "--artifact-type", "archive"]

    return serve


def test_every_command_has_help_and_the_summaries_of_the_top_are_theirs(alone: CommandLine):
    # The server's commands, where they are installed, replace the process: test_distribution.py has them.
    for words in [words for words in walk(main.saga) if words[:1] != ("server",)]:
        done = alone(*words, "--help")

        assert done.status == 0, words
        assert done.out.startswith("Usage: saga")
    for name, (_, summary) in main.COMMANDS.items():
        command = main.saga.get_command(click.Context(main.saga), name)
        assert command is not None
        assert (command.help or "").splitlines()[0].startswith(summary.rstrip(".")), name


def test_help_loads_neither_http_nor_yaml():
    program = (
        "import sys\n"
        "from saga_client.command_line import main\n"
        "try: main.main()\n"
        "finally: print(*sys.modules)"
    )

    done = subprocess.run(
        [sys.executable, "-c", program, "--help"],
        env={"PYTHONPATH": str(SOURCE)},
        check=True,
        capture_output=True,
        text=True,
    )

    assert not {"urllib3", "yaml", "http.client", "asyncio"} & set(done.stdout.split())


def test_service_from_registration_to_its_end(saga: CommandLine):
    registered = saga.read(
        *("services", "register", "till", "http://127.0.0.1:8001", "--version", "1.4.0"),
        *("--capability", "rest", "--zone", "a", "--metadata", "team=pay", "--ttl", "60"),
    )
    listed = saga.read("services", "list", "--version", ">=1.4,<2", "--search", "till")
    heartbeat = saga.read("services", "heartbeat", "till", "--status", "warning", "--note", "slow")
    [instance] = saga.read("services", "instances", "till")["instances"]
    resolved = saga.read("services", "resolve", "till", "--zone", "a", "--sticky", "me")
    table = saga("services", "instances", "till")
    gone = saga.read("services", "deregister", "till")
    missing = saga("services", "get", "till")

    assert (registered["service_name"], registered["ttl"]) == ("till", 60)
    assert [row["service_name"] for row in listed["services"]] == ["till"]
    assert heartbeat["service_name"] == "till"
    assert (instance["health"], instance["metadata"]) == ("warning", {"team": "pay"})
    assert resolved["service_url"] == "http://127.0.0.1:8001"
    assert table.out.splitlines()[0].split()[:2] == ["INSTANCE_ID", "SERVICE_URL"]
    assert "\x1b[" not in table.out  # no colours where no terminal is
    assert "unregistered" in gone["message"]
    assert (missing.status, missing.out) == (1, "")
    assert "Service not found" in missing.err
    assert "Request id: " in missing.err


def test_output_as_yaml_as_a_table_or_not_at_all(saga: CommandLine):
    saga("services", "register", "styles", "http://127.0.0.1:8001")

    as_yaml = saga("--output", "yaml", "services", "get", "styles")
    as_table = saga("services", "get", "styles")
    quiet = saga("services", "get", "styles", "--quiet")

    assert yaml.safe_load(as_yaml.out)["service_url"] == "http://127.0.0.1:8001"
    assert "service_url     http://127.0.0.1:8001" in as_table.out
    assert (quiet.status, quiet.out) == (0, "")


def test_deploy_and_rollback_wait_for_the_end_and_exit_by_it(
    saga: CommandLine, publish: Any, httpserver: HTTPServer, tmp_path: Path
):
    root = tmp_path / "install"
    root.mkdir()
    tmp_path.chmod(0o755)
    health = httpserver.url_for("/health")
    saga("services", "register", "shop", "http://127.0.0.1:8002")
    httpserver.expect_request("/health").respond_with_handler(
        lambda _: Response(status=500 if "1.2.0" in (root / "current/VERSION").read_text() else 200)
    )
    saga.read(
        *("targets", "create", "service_name=shop", "name=one", f"install_root={root}"),
        *(
            f"health_url={health}",
            "health_successes=1",
            "drain_seconds=0",
            "healthy_deadline_seconds=5",
        ),
    )

    first = saga("deploy", "shop", "1.0.0", *publish("shop", "1.0.0"), "--wait")
    second = saga("deploy", "shop", "1.1.0", *publish("shop", "1.1.0"), "--wait", "-o", "json")
    back = saga("rollback", "shop", "--wait", "--reason", "try it")
    bad = saga("deploy", "shop", "1.2.0", *publish("shop", "1.2.0"), "--wait")

    assert first.status == 0, first.err
    assert "one: " in first.out
    assert "succeeded (100 %)" in first.out
    assert (second.status, second.document["status"]) == (0, "succeeded")
    assert back.status == 0, back.err
    assert (root / "current" / "VERSION").read_text() == "1.0.0"
    assert bad.status == 3, bad.err
    assert "rolled_back" in bad.out
    [newest, *_] = saga.read("jobs", "list", "--service", "shop")["jobs"]
    assert saga("jobs", "watch", newest["job_id"]).status == 3
    assert newest["version"] in saga("jobs", "get", newest["job_id"]).out
    assert "restore" in saga("jobs", "logs", newest["job_id"]).out
    assert saga("jobs", "pause", newest["job_id"]).status == 1
    history = saga.read("updates", "history", "shop")
    assert history["total"] == 4
    assert saga("updates", "export", "shop").out.count("\n") == 5
    statistics = saga.read("updates", "statistics", "--window", "1d")
    assert statistics["total_updates"] >= 4
    assert "deployment_frequency_per_day" in saga("updates", "dora").out
    assert saga.read("updates", "plan", "shop")["current_version"] == "1.0.0"
    [release] = [
        row
        for row in saga.read("releases", "list", "--service", "shop")["releases"]
        if row["version"] == "1.1.0"
    ]
    withdrawn = saga.read("releases", "withdraw", str(release["id"]), "--reason", "too old")
    assert withdrawn["state"] == "withdrawn"


def test_deployment_that_fails_exits_with_1(saga: CommandLine, httpserver: HTTPServer):
    done = saga(
        *("deploy", "broken", "1.0.0", "--wait"),
        *("--artifact-url", httpserver.url_for("/nothing.tar.gz"), "--artifact-type", "archive"),
    )

    assert done.status == 1
    assert "broken" in done.err


def test_secret_of_a_service_signs_its_deployments(saga: CommandLine, publish: Any):
    saga("webhooks", "config", "set", "signed", "--endpoint", "ops=http://127.0.0.1:9/")
    secret = saga("webhooks", "rotate", "signed").out.strip()
    artifact = publish("signed", "1.0.0")

    unsigned = saga("deploy", "signed", "1.0.0", *artifact)
    saga.set(SAGA_WEBHOOK_SECRET=secret)
    signed = saga("deploy", "signed", "1.0.0", *artifact, "--wait")

    assert unsigned.status == 1
    assert "Invalid signature" in unsigned.err
    assert signed.status == 0, signed.err
    shown = saga.read("webhooks", "config", "get", "signed")
    assert shown["endpoints"] == {"ops": "http://127.0.0.1:9/"}


def test_message_reaches_a_channel(saga: CommandLine, httpserver: HTTPServer):
    httpserver.expect_request("/ops", method="POST").respond_with_data("")
    saga("webhooks", "config", "set", "loud", "--endpoint", f"ops={httpserver.url_for('/ops')}")
    saga("services", "register", "loud", "http://127.0.0.1:8003")

    tested = saga("webhooks", "test", "loud", "ops")
    notified = saga.read("notify", "loud", "ops", "1.1.0 is out", "--severity", "warning")
    unknown = saga("notify", "loud", "nowhere", "hello")
    [channel] = saga.read("channels", "list", "--service", "loud")["channels"]
    answered = saga.read("channels", "test", str(channel["id"]))

    assert tested.status == 0, tested.err
    assert notified["status"] == "sent"
    assert len(httpserver.log) == 3
    assert answered["is_delivered"]
    assert "Channel not configured" in unknown.err


def test_rejected_service_is_hidden_until_it_is_approved(saga: CommandLine):
    saga("services", "register", "gate", "http://127.0.0.1:8004")

    rejected = saga.read("services", "reject", "gate", "--reason", "unknown owner")
    hidden = saga("services", "get", "gate")
    approved = saga.read("services", "approve", "gate")
    found = saga.read("services", "get", "gate")

    assert (rejected["status"], rejected["status_reason"]) == ("rejected", "unknown owner")
    assert hidden.status == 1
    assert (approved["status"], found["service_name"]) == ("active", "gate")


def test_dead_delivery_is_sent_again(saga: CommandLine, httpserver: HTTPServer):
    httpserver.expect_request("/gone", method="POST").respond_with_data("", status=410)
    url = httpserver.url_for("/gone")
    saga("webhooks", "config", "set", "lost", "--endpoint", f"ops={url}")
    saga("services", "register", "lost", "http://127.0.0.1:8005")
    saga("notify", "lost", "ops", "hello")
    wanted = ("deliveries", "list", "--service", "lost", "--status", "dead")
    [dead] = waiting.until(lambda: saga.read(*wanted)["deliveries"])

    preview = saga.read("deliveries", "replay", "--service", "lost", "--dry-run")
    again = saga.read("deliveries", "replay", dead["id"])
    shown = saga.read("deliveries", "get", dead["id"])
    calls = saga.read("calls", "list", "--service", "lost")["calls"]
    call = saga.read("calls", "get", calls[0]["id"])

    assert (preview["dry_run"], preview["ids"]) == (True, [dead["id"]])
    assert again["id"] == dead["id"]
    assert shown["attempts"]
    assert {each["route"] for each in calls} >= {"config", "notify"}
    assert call["headers"]


@pytest.mark.parametrize(
    ("group", "fields", "change"),
    [
        ("policies", ["service_name=configured", "kind=approve"], "version_range=<2"),
        (
            "windows",
            ["service_name=configured", "name=night", "opens_at=03:00:00", "duration_minutes=60"],
            None,
        ),
        ("skips", ["service_name=configured", "version=1.2.3"], None),
        (
            "subscriptions",
            [
                "service_name=configured",
                "subscriber=me",
                "callback_url=http://127.0.0.1:9/",
                'topics=["service.*"]',
            ],
            None,
        ),
        (
            "sources",
            ["service_name=configured", "kind=pypi", "location=django", "is_enabled=false"],
            "interval_seconds=7200",
        ),
    ],
)
def test_resource_is_created_listed_changed_and_deleted(
    group: str, fields: list[str], change: str | None, saga: CommandLine
):
    saga("services", "register", "configured", "http://127.0.0.1:8004")

    created = saga.read(group, "create", *fields)
    key = "configured" if group == "policies" else str(created["id"])
    listed = saga.read(group, "list", "--service", "configured")[group]
    shown = saga.read(group, "get", key)
    changed = saga.read(group, "set", key, change) if change else shown
    unsure = saga(group, "delete", key)
    deleted = saga(group, "delete", key, "--yes")
    missing = saga(group, "get", key)

    assert len(listed) == 1
    assert shown["service_name"] == "configured"
    assert changed.keys() == shown.keys()
    assert (unsure.status, deleted.status) == (2, 0), deleted.err
    if group != "subscriptions":  # one that is cancelled stays visible
        assert missing.status == 1


def test_policy_is_set_where_there_is_none(saga: CommandLine):
    saga("services", "register", "ruled", "http://127.0.0.1:8005")

    first = saga.read("policies", "set", "ruled", "kind=auto")
    second = saga.read("policies", "set", "ruled", "version_range=>=1,<2")

    assert (first["kind"], second["kind"], second["version_range"]) == ("auto", "auto", ">=1,<2")


def test_token_of_an_account_is_shown_once_works_and_is_revoked(saga: CommandLine, token: str):
    saga.read("accounts", "create", "name=robot", 'scopes=["updates:read"]')
    made = saga.read("tokens", "create", "account=robot", "name=ci", 'scopes=["updates:read"]')
    [listed] = saga.read("tokens", "list", "--account", "robot")["tokens"]

    saga.set(SAGA_TOKEN=made["token"])
    allowed = saga("updates", "history")
    refused = saga("services", "register", "robotic", "http://127.0.0.1:8009")
    saga.set(SAGA_TOKEN=token)
    revoked = saga("tokens", "delete", str(made["id"]), "--yes")
    saga.set(SAGA_TOKEN=made["token"])
    after = saga("updates", "history")

    assert "token" not in listed
    assert allowed.status == 0, allowed.err
    assert (refused.status, after.status) == (1, 1)
    assert "registry:manage" in refused.err
    assert revoked.status == 0, revoked.err
    assert "SAGA_TOKEN" in after.err


def test_audit_lists_what_was_changed_and_verifies_itself(saga: CommandLine):
    saga("services", "register", "audited", "http://127.0.0.1:8005")
    saga("policies", "set", "audited", "kind=auto")

    entries = saga.read("audit", "list", "--action", "policy.*", "--limit", "1")["entries"]
    verdict = saga("audit", "verify")

    assert len(entries) == 1
    assert verdict.status == 0, verdict.err


def test_file_is_compared_applied_and_exported(saga: CommandLine, tmp_path: Path):
    file = tmp_path / "saga.yaml"
    file.write_text(
        "managed_by: saga.yaml\nservices:\n  - {name: declared}\n"
        "policies:\n  - {service_name: declared, kind: auto}\n"
    )

    compared = saga.read("diff", str(file))
    applied = saga("apply", str(file))
    again = saga.read("diff", str(file))
    exported = yaml.safe_load(saga("export", "--managed-by", "saga.yaml").out)
    missing = saga("apply", str(tmp_path / "none.yaml"))

    assert (compared["dry_run"], compared["created"]) == (True, 2)
    assert applied.status == 0, applied.err
    assert "2 created" in applied.out
    assert (again["created"], again["unchanged"]) == (0, 2)
    assert [row["kind"] for row in exported["policies"]] == ["auto"]
    assert missing.status == 2


def test_unknown_field_is_refused_by_name(saga: CommandLine):
    done = saga("policies", "create", "service_name=shop", "knid=auto")

    assert done.status == 1
    assert "knid" in done.err


def test_events_of_a_service(saga: CommandLine):
    saga("services", "register", "seen", "http://127.0.0.1:8006")

    found = saga.read("events", "--service", "seen", "--type", "service.*")["events"]

    assert [event["type"] for event in found] == ["service.registered"]


def test_events_are_followed_until_interrupted(saga: CommandLine, stack: stacks.Stack, token: str):
    command = [sys.executable, "-m", "saga_client", "services", "watch", "followed", "-o", "json"]
    environment = {
        "PYTHONPATH": str(SOURCE),
        "SAGA_URL": f"http://127.0.0.1:{stack.port}",
        "SAGA_TOKEN": token,
        "PYTHONUNBUFFERED": "1",
    }
    with subprocess.Popen(
        command,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=_take_interrupts,  # noqa: PLW1509 (one call)
    ) as process:
        assert process.stdout
        lines = iter(process.stdout.readline, "")
        # It begins with the next event: one of these comes after it has begun.
        first = ""
        while not first:
            saga("services", "register", "followed", "http://127.0.0.1:8007")
            saga("services", "deregister", "followed")
            first = _line_within(process, lines)
        process.send_signal(signal.SIGINT)
        try:
            status = process.wait(60)
        finally:
            process.kill()

    assert '"service_name": "followed"' in first
    assert status == 130


def _take_interrupts() -> None:
    """A shell has what it runs in the background ignore them, and children inherit that."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _line_within(process: subprocess.Popen[str], lines: Any) -> str:
    assert process.stdout
    ready, _, _ = select.select([process.stdout], [], [], 0.5)
    return next(lines) if ready else ""


def test_status_and_health(saga: CommandLine):
    status = saga.read("status")
    health = saga("health")

    assert status["status"] in {"healthy", "degraded"}
    assert status["url"].startswith("http://127.0.0.1:")
    assert "connected" in health.out


def test_any_route_can_be_called(saga: CommandLine):
    body = '{"service_name": "raw", "service_url": "http://127.0.0.1:8008"}'

    registered = saga.read("api", "post", "services/register", "--data", body)

    assert registered["service_name"] == "raw"


def test_login_stores_a_token_that_works_and_no_other(
    alone: CommandLine, stack: stacks.Stack, token: str, tmp_path: Path
):
    url = f"http://127.0.0.1:{stack.port}"
    file = tmp_path / "saga" / "config.toml"

    wrong = alone("login", "--url", url, "--token-stdin", given="saga_wrong\n")
    was_stored = file.exists()
    right = alone(
        "login", "--url", f"{url}/", "--token-stdin", "--profile", "prod", given=f"{token}\n"
    )
    used = alone("targets", "list", "--profile", "prod")
    unknown = alone("targets", "list", "--profile", "test")

    assert (wrong.status, was_stored) == (1, False)
    assert "saga login" in wrong.err
    assert right.status == 0, right.err
    assert token not in right.out
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert used.status == 0, used.err
    assert unknown.status == 2
    assert "prod" in unknown.err


def test_token_of_a_profile_is_sent_to_its_address_only(
    alone: CommandLine, stack: stacks.Stack, token: str, httpserver: HTTPServer
):
    alone("login", "--url", f"http://127.0.0.1:{stack.port}", "--token-stdin", given=f"{token}\n")
    httpserver.expect_request("/api/v1/services/shop").respond_with_json({})

    alone("services", "get", "shop", "--url", httpserver.url_for(""))

    [(request, _)] = httpserver.log
    assert "Authorization" not in request.headers


def test_local_token_is_read_where_saga_asks_for_one(
    alone: CommandLine, httpserver: HTTPServer, tmp_path: Path
):
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "local_token").write_text("the-local-token\n")
    httpserver.expect_request(
        "/api/v1/services/shop", headers={"Authorization": "Bearer the-local-token"}
    ).respond_with_json({"service_name": "shop"})
    httpserver.expect_request("/api/v1/services/shop").respond_with_json(
        {"error": "Unauthorized"}, status=401
    )
    alone.set(SAGA_DATA_DIR=str(tmp_path), SAGA_URL=httpserver.url_for(""))

    done = alone("services", "get", "shop")

    assert done.status == 0, done.err
    assert len(httpserver.log) == 2


def test_saga_that_is_away_is_explained(alone: CommandLine):
    done = alone("services", "list", "--url", "http://127.0.0.1:9")

    assert done.status == 1
    assert "http://127.0.0.1:9 does not answer" in done.err
    assert "SAGA_URL" in done.err


@pytest.mark.parametrize("address", ["ftp://host", "shop", "http://user:word@host"])
def test_address_that_is_none_is_wrong_usage(address: str, alone: CommandLine):
    assert alone("services", "list", "--url", address).status == 2


def test_completion_script_and_words(alone: CommandLine):
    script = alone("completion", "bash")
    completed = subprocess.run(
        [sys.executable, "-m", "saga_client"],
        env={
            "PYTHONPATH": str(SOURCE),
            "_SAGA_COMPLETE": "bash_complete",
            "COMP_WORDS": "saga jobs pa",
            "COMP_CWORD": "2",
        },
        check=False,
        capture_output=True,
        text=True,
    )

    assert "_SAGA_COMPLETE" in script.out
    assert completed.stdout.split() == ["plain,pause"]


def test_artifact_is_uploaded_in_chunks_and_deployed(saga: CommandLine, tmp_path: Path):
    file = tmp_path / "filled.tar.gz"
    with tarfile.open(file, mode="w:gz", compresslevel=0) as archived:
        member = tarfile.TarInfo("VERSION")
        member.size = 3 * 1024 * 1024
        archived.addfile(member, io.BytesIO(bytes(member.size)))

    done = saga("deploy", "uploaded", "1.0.0", "--artifact", str(file), "--wait", "-o", "json")
    again = saga.read("artifacts", "upload", "uploaded", str(file))
    listed = saga.read("artifacts", "list", "--service", "uploaded")["artifacts"]

    assert done.status == 0, done.err
    assert again["checksum"] == f"sha256:{hashlib.sha256(file.read_bytes()).hexdigest()}"
    assert [row["is_complete"] for row in listed] == [True]
    assert saga("artifacts", "delete", listed[0]["id"], "--yes").status == 0


def test_artifact_that_cannot_be_read_is_named(saga: CommandLine, tmp_path: Path):
    (tmp_path / "empty.tar").touch()

    missing = saga("deploy", "shop", "1.0.0", "--artifact", str(tmp_path / "nothing.tar"))
    empty = saga("deploy", "shop", "1.0.0", "--artifact", str(tmp_path / "empty.tar"))

    assert (missing.status, empty.status) == (2, 1)
    assert "is empty" in empty.err
