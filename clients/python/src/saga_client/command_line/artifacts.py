"""``saga artifacts``: the files in Saga's own store."""

from __future__ import annotations

import click

from saga_client import transport
from saga_client.command_line import main, structure
from saga_client.command_line.session import Session

LISTED = "id service_name name size received is_complete created_at"


@click.group(cls=structure.Group)
def artifacts() -> None:
    """List, upload and delete artifacts in Saga's own store."""


@artifacts.command("list")
@click.option("--service", help="Those of this service.")
@click.option("--limit", type=int, help="At most so many [default: 100].")
@click.option("--offset", type=int, help="Leave out the first so many.")
def list_artifacts(session: Session, **query: object) -> None:
    """List uploaded artifacts, newest first."""
    document = session.saga.call("GET", "/artifacts", query=query)
    session.show(document, rows="artifacts", columns=LISTED)


@artifacts.command()
@click.argument("name")
@click.argument("file", type=click.Path(exists=True, dir_okay=False))
def upload(session: Session, name: str, file: str) -> None:
    """Upload FILE for service NAME, and print what a deployment of it names.

    What was interrupted goes on where it was.
    """
    session.show(sent(session, name, file))


@artifacts.command()
@click.argument("artifact_id")
@click.option("--yes", is_flag=True, help="Do not ask.")
def delete(session: Session, artifact_id: str, yes: bool) -> None:
    """Delete an artifact that no deployment needs."""
    session.confirm(f"Delete artifact {artifact_id}?", is_sure=yes)
    session.saga.call("DELETE", f"/artifacts/{transport.segment(artifact_id)}")
    session.say("It is deleted.")


def sent(session: Session, name: str, file: str) -> dict[str, str]:
    """Upload the file, with a line of progress on a terminal, and return what a deployment of it names."""
    last = [-1]

    def report(done: int, size: int) -> None:
        percent = done * 100 // size
        if session.is_live and percent != last[0]:
            last[0] = percent
            click.echo(f"\rUploading {percent} % of {size / 2**20:.1f} MiB", nl=percent == 100)

    try:
        return session.saga.upload_artifact(name, file, report=report)
    except OSError as exc:
        click.echo(f"{file} cannot be read: {exc.strerror}.", err=True)
        raise click.exceptions.Exit(main.FAILED) from exc
