"""What others set up at a service without an owner is dropped when an account takes it over.

What the account itself or an administrator set up stays, and the event lists it as handed over.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.contrib.auth import get_user_model
from django.dispatch import receiver

from registry import events as registry_events
from registry.events import published
from registry.identity import account_scopes, accounts
from registry.models import Event, Service, ServiceAccount
from registry.operations import configured, health_checks
from saga_project.shared import transitions
from updates import event_constructors
from updates.models import Approval, AuditEntry, Job, Node, Release
from updates.operations import decisions, node_services, settings
from updates.releases import recording
from updates.rollouts import transitions as job_transitions

TAKEN_OVER = "service.taken_over"
KINDS = (
    health_checks.CHECK,
    settings.TARGET,
    settings.POLICY,
    settings.SOURCE,
    settings.CREDENTIAL,
    settings.HOLD,
    settings.WINDOW,
    settings.FREEZE,
)
REASON = "An account took the service over; others set this up."


@receiver(published, dispatch_uid="updates.drop_what_others_set_up")
def drop_what_others_set_up(events: Sequence[Event], **_: Any) -> None:
    for event in events:
        if event.type == TAKEN_OVER:
            service = Service.objects.get(name=event.service_name)
            _Takeover(service, str(event.data["account"]), event.occurred_at).run()


@dataclass
class _Takeover:
    """One takeover, inside its transaction; the service's row is locked."""

    service: Service
    account: str
    now: dt.datetime
    dropped: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    kept: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    def run(self) -> None:
        # All locks come before the one of the audit trail, as everywhere.
        nodes = node_services.named_to(self.service.name)
        self._end_jobs()
        self._supersede_approvals()
        self._drop_releases()
        self._drop_rows()
        self._drop_names_at(nodes)
        if self.dropped or self.kept:
            registry_events.publish(
                event_constructors.handed_over(
                    self.service.name,
                    account=self.account,
                    dropped=self.dropped,
                    handed_over=self.kept,
                )
            )

    def _end_jobs(self) -> None:
        jobs = Job.objects.filter(service=self.service, status__in=Job.LIVE).order_by("pk")
        for job in jobs.select_related("service").select_for_update(of=("self",)):
            targets = [step.target for step in job.steps.select_related("target") if step.target]
            is_trusted = job.requested_by == decisions.SIGNED_WEBHOOK or self._trusts(
                job.requested_by
            )
            if is_trusted and all(self._keeps(settings.TARGET, each) for each in targets):
                self.kept["job"].append(job.job_id)
                continue
            job_transitions.leave(job, reason=REASON, now=self.now)
            self.dropped["job"].append(job.job_id)

    def _supersede_approvals(self) -> None:
        undone = Approval.objects.filter(service=self.service, job_id="")
        open_ones = transitions.movable(undone, Approval.State.SUPERSEDED)
        self._note("approval", self.dropped, [str(each.release.version) for each in open_ones])
        transitions.move_rows(undone, Approval.State.SUPERSEDED, decided_at=self.now)

    def _drop_releases(self) -> None:
        """Delete releases that no job used; one that was used stays for the history, withdrawn."""
        source = getattr(self.service, "source", None)
        found_by = source.kind if source and self._keeps(settings.SOURCE, source) else None
        announcers = self._actors("release.announced", "version")
        for release in Release.objects.filter(service=self.service).order_by("pk"):
            actors = announcers.get(release.version, set())
            is_own = all(map(self._trusts, actors)) if actors else release.origin == found_by
            if is_own or release.jobs.filter(status__in=Job.LIVE).exists():
                self.kept["release"].append(release.version)
                continue
            self.dropped["release"].append(release.version)
            if not release.jobs.exists():
                release.delete()
            elif release.state != Release.State.WITHDRAWN:
                self._withdraw(release)

    def _withdraw(self, release: Release) -> None:
        withdrawn = Release.State.WITHDRAWN
        if transitions.is_allowed(release, withdrawn):
            recording.move(release, to=withdrawn, reason=REASON, at=self.now)

    def _drop_rows(self) -> None:
        # All are locked before the first entry: the lock of the audit trail is the last one.
        found = [(kind, row) for kind in KINDS for row in self._rows(kind)]
        for kind, row in found:
            if self._keeps(kind, row):
                self._note(kind.name, self.kept, [str(row)])
                continue
            self._note(kind.name, self.dropped, [str(row)])
            configured.delete(kind, row, actor=self.account, now=self.now)

    def _drop_names_at(self, nodes: Sequence[Node]) -> None:
        name = self.service.name
        for node in nodes:
            actors = node_services.actors_of(node, name)
            if actors and all(map(self._trusts, actors)):
                self._note("node", self.kept, [node.name])
                continue
            self._note("node", self.dropped, [node.name])
            node_services.take_away(node, name, actor=self.account, now=self.now)

    def _rows(self, kind: configured.Kind) -> Iterator[Any]:
        rows: Any = kind.model._meta.default_manager
        found = rows.filter(service=self.service).order_by("pk")
        for row in found.select_for_update(of=("self",)):
            if not (getattr(row, "is_automatic", False) or getattr(row, "parent_id", None)):
                yield row

    def _note(self, kind: str, where: dict[str, list[str]], names: Sequence[str]) -> None:
        if names:
            where[kind].extend(names)

    # --- Whose it is ------------------------------------------------------------------------------

    def _keeps(self, kind: configured.Kind, row: Any) -> bool:
        """Whether only the account and administrators ever set the row, by the audit trail."""
        if getattr(row, "is_automatic", False):
            return True
        row = getattr(row, "parent", None) or row
        actors = self._actors(f"{kind.name}.", "id").get(row.pk, set())
        return bool(actors) and all(map(self._trusts, actors))

    def _actors(self, action: str, key: str) -> dict[Any, set[str]]:
        entries = AuditEntry.objects.filter(
            service_name=self.service.name, action__startswith=action
        )
        found: dict[Any, set[str]] = defaultdict(set)
        for actor, data in entries.values_list("actor", "data"):
            found[data.get(key)].add(actor)
        return found

    def _trusts(self, actor: str) -> bool:
        """Whether the actor is the account, an account of administrators, or a member of staff.

        A person and an account may have the same name; then the account counts.
        """
        if actor == self.account:
            return True
        row = ServiceAccount.objects.filter(name=actor).first()
        if row is not None:
            return accounts.ADMIN_SCOPE in account_scopes.scopes_of(row)
        people = get_user_model()._default_manager  # noqa: SLF001 - Django's documented way
        is_staff = people.filter(
            username=actor.removeprefix("staff:"), is_staff=True, is_active=True
        )
        return bool(is_staff.exists())
