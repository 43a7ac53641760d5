"""``saga run``: keep software registered that cannot do so itself."""

from __future__ import annotations

import click

from saga_client import running
from saga_client.command_line import arguments, structure
from saga_client.command_line.session import Session


@click.command(
    cls=structure.Command,
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
)
@click.option("--name", required=True, help="The service.")
@click.option("--port", type=click.IntRange(1, 65535), help="Where it listens, on this host.")
@click.option(
    "--host", default="127.0.0.1", show_default=True, help="How other services reach this host."
)
@click.option("--service-url", help="Its address, instead of --host and --port.")
@click.option("--check", help="http(s)://… that answers 2xx, or tcp://host:port, while it is well.")
@click.option("--check-seconds", type=click.FloatRange(min=0.1), default=5.0, show_default=True)
@click.option("--version", help="The version that runs.")
@click.option("--instance-id", help="Which of its instances this is.")
@click.option("--zone", help="Where it runs.")
@click.option(
    "--ttl", type=click.IntRange(5, 3600), help="Seconds that it lives after a heartbeat."
)
@click.option("--metadata", multiple=True, help="key=value; repeatable.")
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def run(
    session: Session,
    name: str,
    port: int | None,
    host: str,
    service_url: str | None,
    check: str | None,
    check_seconds: float,
    metadata: tuple[str, ...],
    command: tuple[str, ...],
    **fields: object,
) -> None:
    """Run a program and keep it registered while it lives.

    COMMAND is registered once its check passes (at once without one), reported critical while the check
    fails, and deregistered when it ends or when SIGTERM comes, which is forwarded. The exit status is
    the command's. Whatever Saga does, the command goes on.

    \b
    saga run --name esbuild --port 9000 --check http://127.0.0.1:9000/ -- npx esbuild --serve=9000
    """
    if not service_url and not port:
        raise click.UsageError("Name the address of the service: --port, or --service-url.")
    address = service_url or f"http://{host}:{port}"
    given = {**fields, "metadata": arguments.pairs(metadata) if metadata else None}
    registration = session.saga.registered(name, address, **given)
    raise click.exceptions.Exit(
        running.run(command, registration, check=check, check_seconds=check_seconds)
    )
