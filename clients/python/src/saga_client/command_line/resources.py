"""Resources that are configured: one group each with list, get, create, set and delete."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urlsplit

import click

from saga_client import errors
from saga_client.command_line import arguments, structure
from saga_client.command_line.session import Session
from saga_client.transport import segment

_FIELDS = click.argument("fields", nargs=-1, metavar="[KEY=VALUE]...")
_FILE = click.option(
    "-f", "--file", help="Read fields from this JSON or YAML file; - is standard input."
)
_YES = click.option("-y", "--yes", is_flag=True, help="Do not ask.")


def group(
    name: str,
    summary: str,
    *,
    columns: str,
    filter_by: str = "service",
    verbs: str = "set delete",
    resource: str = "",
) -> click.Group:
    """Return the commands of a resource; ``resource`` is its name in addresses where that is another."""
    resource = resource or name
    made = structure.Group(name, help=summary)
    path, plural = f"/{resource}", resource.replace("-", "_")

    @made.command("list", help=f"List {name}.")
    @click.option(
        f"--{filter_by.replace('_', '-')}", "wanted", help=f"Those with this {filter_by}."
    )
    @click.option("--limit", type=int, help="At most so many.")
    def list_rows(session: Session, wanted: str | None, limit: int | None) -> None:
        rows = all_rows(session, path, plural, {filter_by: wanted}, limit=limit)
        session.show({plural: rows}, rows=plural, columns=columns)

    @made.command(help="Show one.")
    @click.argument("key")
    def get(session: Session, key: str) -> None:
        session.show(session.saga.call("GET", f"{path}/{segment(key)}"))

    @made.command(help="Create one, such as: service_name=shop. A value may be JSON.")
    @_FIELDS
    @_FILE
    def create(session: Session, fields: tuple[str, ...], file: str | None) -> None:
        body = arguments.settings(fields, file=file)
        session.show(session.saga.call("POST", path, body=body))

    _add_changes(made, resource, verbs.split())
    return made


def _add_changes(made: click.Group, name: str, verbs: list[str]) -> None:
    path = f"/{name}"

    @click.command("set", cls=structure.Command, help="Change the fields that are named.")
    @click.argument("key")
    @_FIELDS
    @_FILE
    def set_fields(session: Session, key: str, fields: tuple[str, ...], file: str | None) -> None:
        body = arguments.settings(fields, file=file)
        session.show(_changed(session, name, key, body))

    @click.command("delete", cls=structure.Command, help="Delete one.")
    @click.argument("key")
    @_YES
    def delete(session: Session, key: str, yes: bool) -> None:
        session.confirm(f"Delete {key} from {name}?", is_sure=yes)
        session.show(session.saga.call("DELETE", f"{path}/{segment(key)}"))

    for verb, command in (("set", set_fields), ("delete", delete)):
        if verb in verbs:
            made.add_command(command)


def _changed(session: Session, name: str, key: str, body: dict[str, Any]) -> Any:
    """Change a row; a policy that a service has not got is created."""
    try:
        return session.saga.call("PATCH", f"/{name}/{segment(key)}", body=body)
    except errors.NotFound:
        if name != "policies":
            raise
        return session.saga.call("POST", f"/{name}", body={"service_name": key, **body})


def all_rows(
    session: Session, path: str, name: str, query: dict[str, Any], *, limit: int | None
) -> list[Any]:
    """Return the rows of all pages, or the first ``limit``."""
    rows: list[Any] = []
    while True:
        size = 1000 if limit is None else min(limit - len(rows), 1000)
        page = session.saga.call("GET", path, query={**query, "limit": size})
        rows += page[name]
        if limit is not None and len(rows) >= limit:
            return rows
        if page.get("next"):
            query = {**query, "cursor": parse_qs(urlsplit(page["next"]).query)["cursor"][0]}
        elif len(rows) < page.get("total", 0) and page[name]:
            query = {**query, "offset": len(rows)}
        else:
            return rows


policies = group(
    "policies",
    "What becomes of new releases of a service; KEY is the service.",
    columns="service_name kind version_range channel strategy requires_second_person",
)
selector_policies = group(
    "selector-policies",
    "Policies for services by label; KEY is the name.",
    columns="name selector priority kind version_range strategy",
    filter_by="kind",
)
sources = group(
    "sources",
    "Where new releases are looked for.",
    columns="id service_name kind location is_enabled last_version last_checked_at last_error",
)
targets = group(
    "targets",
    "Where and how services are installed.",
    columns="id service_name name node install_root current_version zone",
)
checks = group(
    "checks",
    "Health checks that Saga makes of instances.",
    columns="id service_name name kind url interval_seconds node is_enabled",
)
windows = group("windows", "Maintenance windows.", columns="")
freezes = group("freezes", "Change freezes.", columns="")
skips = group("skips", "Versions that no policy deploys.", columns="")
credentials = group("credentials", "Credentials of the hosts of artifacts.", columns="")
subscriptions = group(
    "subscriptions",
    "Programs that get the events of a service.",
    columns="id service_name subscriber state topics callback_url",
)
rules = group(
    "rules",
    "Which events are sent to which channels.",
    columns="id service_name name event_types min_severity channels digest is_enabled",
    resource="notification-rules",
)
accounts = group(
    "accounts",
    "Accounts of programs; KEY is the name.",
    columns="name scopes services selector is_internal is_active created_at",
    filter_by="is_active",
    verbs="set",
)
tokens = group(
    "tokens",
    "Tokens of accounts; `create` shows one once, `delete` revokes it.",
    columns="id account name prefix scopes state expires_at last_used_at",
    filter_by="account",
    verbs="delete",
)


@targets.command()
@click.argument("key")
@_YES
def stop(session: Session, key: str, yes: bool) -> None:
    """Stop what runs on a target, before it is removed."""
    session.confirm(f"Stop what runs on target {key}?", is_sure=yes)
    session.show(session.saga.call("POST", f"/targets/{segment(key)}/stop"))


@sources.command()
@click.argument("key")
def check(session: Session, key: str) -> None:
    """Ask a source now."""
    session.show(session.saga.call("POST", f"/sources/{segment(key)}/check", timeout=90))
