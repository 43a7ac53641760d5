"""The top of ``saga``, its errors and its exit statuses."""

from __future__ import annotations

import os
import sys
from typing import NoReturn

import click

from saga_client import errors
from saga_client.command_line import structure

#: The work failed: a deployment, or an error of Saga.
FAILED = 1
#: The deployment was rolled back: the previous version runs.
ROLLED_BACK = 3

COMMANDS = {
    "login": ("access", "Store the address of Saga and a token in a profile."),
    "status": ("access", "Show where Saga is, how it is, and what is under way."),
    "health": ("access", "Show the health of Saga itself."),
    "services": ("services", "Register, find, watch and deregister services."),
    "generate": ("generate", "Write a small service that registers itself."),
    "run": ("run", "Run a program and keep it registered while it lives."),
    "deploy": ("deployments", "Deploy a version of a service."),
    "rollback": ("deployments", "Go back to a version that ran before."),
    "jobs": ("jobs", "Follow and steer deployments."),
    "artifacts": ("artifacts", "List, upload and delete artifacts in Saga's own store."),
    "releases": ("releases", "List releases; withdraw, quarantine, release them."),
    "updates": ("updates", "Check for updates; history, statistics, exports."),
    "policies": ("resources", "What becomes of new releases of a service."),
    "selector-policies": ("resources", "Policies for services by label."),
    "sources": ("resources", "Where new releases are looked for."),
    "targets": ("resources", "Where and how services are installed."),
    "checks": ("resources", "Health checks that Saga makes of instances."),
    "nodes": ("nodes", "Add hosts as nodes; approve, rotate and revoke them."),
    "agent": ("agent", "Join this host as a node, and run its agent."),
    "windows": ("resources", "Maintenance windows."),
    "freezes": ("resources", "Change freezes."),
    "skips": ("resources", "Versions that no policy deploys."),
    "credentials": ("resources", "Credentials of the hosts of artifacts."),
    "subscriptions": ("resources", "Programs that get the events of a service."),
    "approvals": ("approvals", "List what awaits a second person, and decide."),
    "webhooks": ("webhooks", "Configure endpoints and secrets, and test them."),
    "channels": ("webhooks", "Where notifications go; set them, and send a test."),
    "rules": ("resources", "Which events are sent to which channels."),
    "alerts": ("alerts", "What the rules found: open and resolved problems."),
    "deliveries": ("deliveries", "List deliveries to receivers, and send dead ones again."),
    "calls": ("deliveries", "List calls that came in by webhook, and carry one out again."),
    "notify": ("webhooks", "Send a message to a channel of a service."),
    "apply": ("declared", "Make the installation what a file says, in one transaction."),
    "diff": ("declared", "Show what `saga apply` would change."),
    "export": ("declared", "Export the YAML file that recreates this installation."),
    "accounts": ("resources", "Accounts of programs."),
    "tokens": ("resources", "Tokens of accounts."),
    "audit": ("audit", "What was changed, by which account; verify that nothing is missing."),
    "events": ("events", "Show what happened, or follow what happens."),
    "debug": ("debug", "Look into Saga: its Redis, its cache, its figures."),
    "api": ("access", "Call any route of the API."),
    "completion": ("access", "Print the script that completes commands in a shell."),
}


@click.group(
    cls=structure.LazyGroup,
    table=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(package_name="saga-client", prog_name="saga")
def saga() -> None:
    """Saga from the command line.

    The address and the token come from SAGA_URL and SAGA_TOKEN, else from the profile that `saga login`
    wrote, else from a Saga on this machine.
    """


def main() -> NoReturn:
    """Run ``saga`` and exit: 0 done, 1 failed, 2 wrong usage, 3 rolled back."""
    color = False if os.environ.get("NO_COLOR") else None
    try:
        status = saga.main(prog_name="saga", standalone_mode=False, color=color)
    except click.exceptions.Abort:
        status = _fail("Interrupted.", status=128 + 2)
    except click.ClickException as exc:
        exc.show()
        status = exc.exit_code
    except errors.SagaError as exc:
        status = _fail(explained(exc))
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = FAILED
    sys.exit(status if isinstance(status, int) else 0)


def _fail(text: str, *, status: int = FAILED) -> int:
    click.echo(click.style("Error: ", fg="red") + text, err=True)
    return status


ADVICE = {
    errors.Unreachable: "Check the address (--url, SAGA_URL, saga login), and that Saga runs there.",
    errors.NotAuthenticated: "Set SAGA_TOKEN, or store a token with: saga login",
    errors.NotAllowed: "Use a token of the service's owner, or with the scope that the message names.",
    errors.TooManyRequests: "Wait a moment and try again.",
    errors.Unavailable: "Try again soon; `saga health` says what Saga lacks.",
}


def explained(exc: errors.SagaError) -> str:
    """Return the error, what to do, and the request id by which the logs know it."""
    lines = [str(exc)]
    lines += [advice for kind, advice in ADVICE.items() if isinstance(exc, kind)]
    if isinstance(exc, errors.ApiError) and exc.request_id:
        lines.append(f"Request id: {exc.request_id}")
    return "\n".join(lines)
