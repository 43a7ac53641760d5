"""Follow a job: each step's change is a line, and the end decides the exit status."""

from __future__ import annotations

import click

from saga_client.command_line import live, main
from saga_client.command_line.session import Session
from saga_client.models import Job

MARKS = {"done": "✓", "succeeded": "✓", "failed": "✗", "running": "…"}
STATUSES = {"succeeded": 0, "rolled_back": main.ROLLED_BACK}
COLORS = {"succeeded": "green", "failed": "red", "rolled_back": "red", "cancelled": "red"}


def follow(session: Session, job_id: str) -> Job:
    """Print the steps of a job until it is over, and return it."""
    if session.is_live:
        return _draw(session, job_id)
    shown: dict[tuple[str, str | None], str] = {}
    status = ""
    for job in session.saga.follow_job(job_id):
        for step in job.steps:
            key = (step["name"], step["target"])
            if step["status"] not in {shown.get(key), "pending", "waiting", "queued"}:
                shown[key] = step["status"]
                session.say(_line(step["name"], step["target"], step["status"], step["message"]))
        if job.status != status:
            status = job.status
            session.say(f"{click.style(status, fg=COLORS.get(status))} ({job.progress} %)")
    return job


def _draw(session: Session, job_id: str) -> Job:
    board = live.Board()
    for job in session.saga.follow_job(job_id):
        board.draw(live.lines_of(job))
    return job


def _line(name: str, target: str | None, status: str, message: str) -> str:
    place = f"{target}: " if target else ""
    return f"  {MARKS.get(status, '·')} {place}{name} {status}{f' ({message})' if message else ''}"


def finish(session: Session, job: Job) -> None:
    """Show a job that is over, and exit with 0, 1 (failed, cancelled) or 3 (rolled back)."""
    if session.is_structured:
        session.show(job.document)
    elif job.error:
        click.echo(f"{job.job_id}: {job.error}", err=True)
    if status := STATUSES.get(job.status, main.FAILED):
        raise click.exceptions.Exit(status)
