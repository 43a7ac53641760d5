"""``saga jobs``: follow and steer deployments."""

from __future__ import annotations

import click

from saga_client.command_line import structure, waiting
from saga_client.command_line.session import Session

LISTED = "job_id kind strategy status progress created_at error"
STEPS = "name target status started_at finished_at message"
STATES = ["queued", "running", "paused", "succeeded", "failed", "rolled_back", "cancelled"]


@click.group(cls=structure.Group)
def jobs() -> None:
    """Follow and steer deployments."""


@jobs.command("list")
@click.option("--service", help="Those of this service.")
@click.option("--status", type=click.Choice(STATES))
@click.option("--limit", type=int, help="At most so many [default: 100].")
@click.option("--offset", type=int, help="Leave out the first so many.")
def list_jobs(session: Session, **query: object) -> None:
    """List deployments and rollbacks, newest first."""
    session.show(
        session.saga.call("GET", "/updates/jobs", query=query), rows="jobs", columns=LISTED
    )


@jobs.command()
@click.argument("job_id")
def get(session: Session, job_id: str) -> None:
    """Show a job."""
    session.show(session.saga.job(job_id).document)


@jobs.command()
@click.argument("job_id")
def watch(session: Session, job_id: str) -> None:
    """Follow a job to its end; exit 0 (succeeded), 1 (failed) or 3 (rolled back)."""
    waiting.finish(session, waiting.follow(session, job_id))


@jobs.command()
@click.argument("job_id")
def logs(session: Session, job_id: str) -> None:
    """Show the journal of a job: each step with its times and message."""
    job = session.saga.job(job_id)
    session.show({"job_id": job_id, "steps": job.steps}, rows="steps", columns=STEPS)


@jobs.command()
@click.argument("job_id")
@click.option("--full", is_flag=True, help="Skip all pauses that would come, not only this one.")
def promote(session: Session, job_id: str, full: bool) -> None:
    """End a pause."""
    fields = {"full": True} if full else {}
    session.show(session.saga.job_verb(job_id, "promote", **fields).document)


@jobs.command()
@click.argument("job_id")
@click.option(
    "--override-reason", help="Despite freezes, windows, quarantine; takes admin:registry."
)
def retry(session: Session, job_id: str, override_reason: str | None) -> None:
    """Try a failed job, or its failed rollback, again."""
    fields = {"override_reason": override_reason} if override_reason else {}
    session.show(session.saga.job_verb(job_id, "retry", **fields).document)


def _plain_verb(verb: str, summary: str) -> None:
    @jobs.command(verb, help=summary)
    @click.argument("job_id")
    def command(session: Session, job_id: str) -> None:
        session.show(session.saga.job_verb(job_id, verb).document)


for _verb, _summary in {
    "pause": "Pause a job.",
    "resume": "Resume a paused job.",
    "abort": "Cancel a job, or roll it back where something has changed.",
    "acknowledge": "Accept a failed rollback, so that the service may be deployed again.",
}.items():
    _plain_verb(_verb, _summary)
