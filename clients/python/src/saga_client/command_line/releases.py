"""``saga releases``."""

from __future__ import annotations

import click

from saga_client.command_line import structure
from saga_client.command_line.session import Session, webhook_secret

LISTED = "id service_name version state channel artifact_type published_at recorded_at"


@click.group(cls=structure.Group)
def releases() -> None:
    """List releases; withdraw, quarantine, release them."""


@releases.command("list")
@click.option("--service", help="Those of this service.")
@click.option("--state", help="Those in this state.")
@click.option("--limit", type=int, help="At most so many [default: 100].")
@click.option("--offset", type=int, help="Leave out the first so many.")
def list_releases(session: Session, **query: object) -> None:
    """List the releases on record, newest first."""
    session.show(
        session.saga.call("GET", "/releases", query=query), rows="releases", columns=LISTED
    )


@releases.command()
@click.argument("release_id", type=int)
def get(session: Session, release_id: int) -> None:
    """Show a release."""
    session.show(session.saga.call("GET", f"/releases/{release_id}"))


@releases.command()
@click.argument("name")
@click.argument("version")
@click.argument("artifact_url")
@click.option("--artifact-type", type=click.Choice(["binary", "archive", "image"]))
@click.option("--checksum", help="sha256:<hex> of the artifact.")
@click.option("--channel", help="The channel of the release.")
@click.option("--notes", help="Release notes.")
def announce(
    session: Session, name: str, version: str, artifact_url: str, **fields: str | None
) -> None:
    """Record a release of the service NAME; its policy decides what becomes of it."""
    secret = webhook_secret()
    session.show(session.saga.announce(name, version, artifact_url, secret=secret, **fields))


def _verb(verb: str, summary: str, *, needs_reason: bool) -> None:
    @releases.command(verb, help=summary)
    @click.argument("release_id", type=int)
    @click.option("--reason", required=needs_reason, help="Why.")
    def command(session: Session, release_id: int, reason: str | None) -> None:
        body = {"reason": reason} if reason else {}
        session.show(session.saga.call("POST", f"/releases/{release_id}/{verb}", body=body))


_verb("withdraw", "Withdraw a release: it is never deployed again.", needs_reason=True)
_verb("quarantine", "Keep policies from deploying a release.", needs_reason=True)
_verb("release", "Release from quarantine.", needs_reason=False)
