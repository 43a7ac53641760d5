"""Hosts that install by an agent: staff approve and revoke them."""

from __future__ import annotations

from collections.abc import Callable

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from unfold.decorators import action, display

from registry.identity import accounts
from registry.identity.accounts import Caller
from saga_project.shared.admin import verbs
from saga_project.shared.admin.readonly import ReadOnly
from updates.models import Node
from updates.operations import nodes


def _applied(operation: Callable[..., Node]) -> Callable[[HttpRequest, Node, str], None]:
    def apply(request: HttpRequest, node: Node, _reason: str) -> None:
        by: Caller = accounts.staff(request.user.get_username())
        operation(node.name, by=by, now=timezone.now())

    return apply


APPROVE: verbs.RowVerb = verbs.Verb(
    name="approve_nodes",
    label="Approve",
    consequences=["The agents of these hosts install what is deployed to their nodes."],
    done="Approved",
    does=_applied(nodes.approve),
)
REVOKE: verbs.RowVerb = verbs.Verb(
    name="revoke_nodes",
    label="Revoke",
    consequences=["Their tokens and orders end at once; they come back with another join token."],
    done="Revoked",
    does=_applied(nodes.revoke),
)


@admin.register(Node)
class NodeAdmin(ReadOnly):
    list_display = ("name", "status_label", "joined_at", "approved_by", "seen_at")
    list_filter = ("status",)
    search_fields = ("name",)
    actions = ("approve_nodes", "revoke_nodes")
    fields = (
        *("name", "status", "services", "facts", "joined_at", "approved_at", "approved_by"),
        "seen_at",
    )

    def has_approve_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("updates.approve_node"))

    @display(
        description="Status",
        label={"pending": "warning", "approved": "success", "revoked": "danger"},
    )
    def status_label(self, node: Node) -> tuple[str, str]:
        return node.status, node.get_status_display()

    @action(description="Approve", permissions=["approve"])
    def approve_nodes(self, request: HttpRequest, queryset: QuerySet[Node]) -> HttpResponse | None:
        return verbs.carry_out(self, request, queryset, APPROVE)

    @action(description="Revoke", permissions=["approve"])
    def revoke_nodes(self, request: HttpRequest, queryset: QuerySet[Node]) -> HttpResponse | None:
        return verbs.carry_out(self, request, queryset, REVOKE)
