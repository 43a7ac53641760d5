"""``saga deploy`` and ``saga rollback``."""

from __future__ import annotations

from typing import Any, Callable

import click

from saga_client.command_line import arguments, artifacts, main, structure, waiting
from saga_client.command_line.session import Session, webhook_secret


def _shared(command: Callable[..., None]) -> Callable[..., None]:
    for option in (
        click.option(
            "-w", "--wait", "is_waiting", is_flag=True, help="Show the progress to the end."
        ),
        click.option(
            "--option", "options", multiple=True, help="Of the strategy, key=value; repeatable."
        ),
        click.option("--target", "targets", multiple=True, help="Only this target; repeatable."),
        click.option(
            "--label", "labels", multiple=True, help="Only targets with key=value; repeatable."
        ),
        click.option("--reason", help="Why."),
        click.option("--force", is_flag=True, help="Also a quarantined release; needs --reason."),
        click.option(
            "--override-reason", help="Despite freezes, windows, approvals; takes the right to."
        ),
    ):
        command = option(command)
    return command


@click.command(cls=structure.Command)
@click.argument("name")
@click.argument("version")
@click.option("--artifact-url", help="Where Saga fetches it, unless the release is on record.")
@click.option(
    "--artifact",
    type=click.Path(exists=True, dir_okay=False),
    help="A file: it is uploaded to Saga's own store first.",
)
@click.option("--artifact-type", type=click.Choice(["binary", "archive", "image"]))
@click.option("--checksum", help="sha256:<hex> of the artifact.")
@click.option("--strategy", type=click.Choice(["rolling", "blue-green", "canary"]))
@click.option(
    "--node", help="Also on this node: the service gets a target there, unless it has one."
)
@_shared
def deploy(
    session: Session,
    name: str,
    version: str,
    is_waiting: bool,
    artifact: str | None,
    node: str | None,
    **fields: Any,
) -> None:
    """Deploy a version of a service.

    With --wait the exit status is 0 (succeeded), 1 (failed) or 3 (rolled back). Where the service has a
    webhook secret, SAGA_WEBHOOK_SECRET signs the call.
    """
    if artifact and (fields["artifact_url"] or fields["checksum"]):
        raise click.UsageError("--artifact brings its own URL and checksum; leave those out.")
    body = _body(fields)
    if artifact:
        body = {**artifacts.sent(session, name, artifact), **body}
    if node:
        _give_target(session, name, node)
    answer = session.saga.deploy(name, version, secret=webhook_secret(), **body)
    _finish(session, answer, is_waiting=is_waiting)


@click.command(cls=structure.Command)
@click.argument("name")
@click.argument("version", required=False)
@click.option(
    "--fast", is_flag=True, help="All targets at once, without drains and gates at the end."
)
@_shared
def rollback(
    session: Session, name: str, version: str | None, is_waiting: bool, **fields: Any
) -> None:
    """Go back to a version that ran before: VERSION, or the last good one that differs from what runs.

    With --wait the exit status is 0 (succeeded), 1 (failed) or 3 (rolled back).
    """
    answer = session.saga.roll_back(name, version, secret=webhook_secret(), **_body(fields))
    _finish(session, answer, is_waiting=is_waiting)


def _give_target(session: Session, name: str, node: str) -> None:
    """Have the service installed on a node: by a target of the node's name, unless it has a target there."""
    found = session.saga.call("GET", "/targets", query={"service": name, "node": node, "limit": 1})
    if not found["targets"]:
        body = {"service_name": name, "name": node, "node": node}
        session.saga.call("POST", "/targets", body=body)
        session.say(f"{name} has a target on node {node} from now on.")


def _body(fields: dict[str, Any]) -> dict[str, Any]:
    labels, options = fields.pop("labels"), fields.pop("options")
    body = {key: value for key, value in fields.items() if value}
    if "targets" in body:
        body["targets"] = list(body["targets"])
    if labels:
        body["labels"] = arguments.pairs(labels)
    if options:
        body["strategy_options"] = arguments.settings(options)
    return body


def _finish(session: Session, answer: dict[str, Any], *, is_waiting: bool) -> None:
    job_id = answer.get("job_id")
    if not is_waiting:
        session.show(answer)
    elif job_id is None:
        click.echo(f"{answer['message']}. See `saga approvals list`.", err=True)
        raise click.exceptions.Exit(main.FAILED)
    else:
        session.say(f"{answer['message']}: {job_id}")
        waiting.finish(session, waiting.follow(session, job_id))
