"""Each type of event: how bad it is, which problem begins or ends with it, and a sentence. Pure."""

from __future__ import annotations

import dataclasses

from webhooks.models import Severity

INFO, WARNING, ERROR, CRITICAL = Severity


@dataclasses.dataclass(frozen=True, kw_only=True)
class EventKind:
    """One type of event; ``subject`` names the field of its data by which problems of a service differ."""

    severity: Severity
    text: str
    #: The problem that begins; without one the event is sent and has no end.
    problem: str = ""
    subject: str = ""
    #: A second field, where one subject has several such problems at once.
    part: str = ""
    #: Problems that end, of the same subject.
    ends: tuple[str, ...] = ()
    #: Problems that end, of any subject.
    ends_all: tuple[str, ...] = ()


_OF_SERVICE = ("expired", "silent", "health", "crashed", "suspect", "flapping", "check")
KINDS: dict[str, EventKind] = {
    "service.expired": EventKind(
        severity=ERROR,
        text="Instance {instance_id} expired: no heartbeat since {last_heartbeat}.",
        problem="expired",
        subject="instance_id",
        ends=("suspect", "health"),
    ),
    "service.suspect": EventKind(
        severity=WARNING,
        text="Instance {instance_id} is overdue and held back from expiring.",
        problem="suspect",
        subject="instance_id",
    ),
    "service.registered": EventKind(
        severity=INFO,
        text="Registered: instance {instance_id} {version}",
        subject="instance_id",
        ends=("expired", "suspect", "health"),
        ends_all=("silent",),
    ),
    "service.deregistered": EventKind(
        severity=INFO, text="Deregistered. {reason}", ends_all=_OF_SERVICE
    ),
    "service.degraded": EventKind(
        severity=WARNING,
        text="Degraded: {consecutive_misses} heartbeats were missed.",
        problem="silent",
    ),
    "service.unreachable": EventKind(
        severity=ERROR,
        text="Unreachable: {consecutive_misses} heartbeats were missed.",
        problem="silent",
    ),
    "service.flapping": EventKind(
        severity=WARNING,
        text="Flapping: instance {instance_id} became ill {times} times in {seconds} s.",
        problem="flapping",
        subject="instance_id",
    ),
    "service.steady": EventKind(
        severity=INFO,
        text="Instance {instance_id} is steady again.",
        subject="instance_id",
        ends=("flapping",),
    ),
    "service.recovered": EventKind(
        severity=INFO,
        text="Heartbeats arrive again.",
        subject="instance_id",
        ends=("expired", "suspect"),
        ends_all=("silent",),
    ),
    "service.approved": EventKind(severity=INFO, text="Approved by {by}."),
    "service.rejected": EventKind(severity=WARNING, text="Rejected by {by}: {reason}"),
    "service.maintenance_began": EventKind(severity=WARNING, text="In maintenance. {reason}"),
    "service.maintenance_ended": EventKind(severity=INFO, text="In the lookups again by {by}."),
    "service.version_changed": EventKind(
        severity=INFO, text="Version {new_version} runs, before it was {old_version}."
    ),
    "service.taken_over": EventKind(severity=INFO, text="The account {account} took it over."),
    "lifecycle.crashed": EventKind(severity=ERROR, text="It reports a crash.", problem="crashed"),
    "lifecycle.started": EventKind(
        severity=INFO, text="It reports its start.", ends_all=("crashed",)
    ),
    "lifecycle.restarted": EventKind(
        severity=INFO, text="It reports a restart.", ends_all=("crashed",)
    ),
    "release.announced": EventKind(severity=INFO, text="Release {version} was announced."),
    "release.quarantined": EventKind(
        severity=WARNING,
        text="Release {version} is in quarantine: {reason}",
        subject="version",
        ends=("approval",),
    ),
    "release.withdrawn": EventKind(
        severity=WARNING,
        text="Release {version} was withdrawn: {reason}",
        subject="version",
        ends=("approval",),
    ),
    "update.available": EventKind(
        severity=INFO, text="Version {latest_version} is available, {current_version} runs."
    ),
    "update.awaiting_approval": EventKind(
        severity=WARNING,
        text="Version {version} awaits an approval.",
        problem="approval",
        subject="version",
        ends_all=("approval",),
    ),
    "update.approved": EventKind(
        severity=INFO,
        text="{by} approved version {version}.",
        subject="version",
        ends=("approval",),
    ),
    "update.rejected": EventKind(
        severity=INFO,
        text="{by} rejected version {version}.",
        subject="version",
        ends=("approval",),
    ),
    "update.approval_given": EventKind(
        severity=INFO,
        text="{by} approved version {version}: {approvals} of {required} approvals.",
    ),
    "update.approval_expired": EventKind(
        severity=WARNING,
        text="The request to approve version {version} expired without a decision.",
        subject="version",
        ends=("approval",),
    ),
    "update.check_failed": EventKind(
        severity=WARNING, text="Its source cannot be read: {reason}", problem="source"
    ),
    "update.check_recovered": EventKind(
        severity=INFO, text="Its source can be read again.", ends_all=("source",)
    ),
    "deployment.queued": EventKind(
        severity=INFO, text="{job_id} is queued.", subject="version", ends=("approval",)
    ),
    "deployment.started": EventKind(severity=INFO, text="{job_id} began."),
    "deployment.paused": EventKind(
        severity=WARNING, text="{job_id} is paused: {reason}", problem="paused", subject="job_id"
    ),
    "deployment.promoted": EventKind(
        severity=INFO, text="{job_id} goes on.", subject="job_id", ends=("paused",)
    ),
    "deployment.succeeded": EventKind(
        severity=INFO,
        text="{job_id} succeeded: {version} runs.",
        ends_all=("deployment", "attention", "paused"),
    ),
    "deployment.failed": EventKind(
        severity=ERROR,
        text="{job_id} failed: {error}",
        problem="deployment",
        subject="job_id",
        ends_all=("paused",),
    ),
    "deployment.rolled_back": EventKind(
        severity=ERROR,
        text="{job_id} was rolled back, {previous_version} runs again: {error}",
        problem="deployment",
        subject="job_id",
        ends_all=("paused", "attention"),
    ),
    "deployment.cancelled": EventKind(
        severity=INFO, text="{job_id} was cancelled.", ends_all=("paused",)
    ),
    "deployment.acknowledged": EventKind(
        severity=INFO,
        text="{by} acknowledged {job_id}.",
        subject="job_id",
        ends=("attention",),
    ),
    "target.stopped": EventKind(severity=INFO, text="Target {target} was stopped: {message}"),
    "webhook.configured": EventKind(severity=INFO, text="Its webhooks were configured."),
    "protection.began": EventKind(
        severity=CRITICAL,
        text="{suspects} of {instances} instances are overdue at once and held back from expiring.",
        problem="mass expiry",
    ),
    "protection.ended": EventKind(
        severity=INFO, text="No instance is held back any more.", ends_all=("mass expiry",)
    ),
    "token.expires": EventKind(
        severity=WARNING, text="Token {prefix}… of {account} ends at {expires_at}."
    ),
    "check.certificate_expires": EventKind(
        severity=WARNING,
        text="The certificate of instance {instance_id} ends at {expires_at}.",
    ),
    "check.failed": EventKind(
        severity=ERROR,
        text="Check {check} of instance {instance_id} fails: {reason}",
        problem="check",
        subject="instance_id",
        part="check",
    ),
    "check.recovered": EventKind(
        severity=INFO,
        text="Check {check} of instance {instance_id} passes.",
        subject="instance_id",
        part="check",
        ends=("check",),
    ),
    "saga.degraded": EventKind(
        severity=WARNING, text="Saga is degraded: {message}", problem="saga", subject="check"
    ),
    "saga.unhealthy": EventKind(
        severity=CRITICAL, text="Saga is unhealthy: {message}", problem="saga", subject="check"
    ),
    "saga.recovered": EventKind(
        severity=INFO,
        text="Saga's {check} work again.",
        subject="check",
        ends=("saga",),
    ),
    "receiver.paused": EventKind(
        severity=WARNING,
        text="The receiver {url} is paused after {failures} failures in a row, and probed.",
        problem="receiver",
        subject="receiver",
    ),
    "receiver.disabled": EventKind(
        severity=ERROR,
        text="The receiver {url} is disabled: it failed for five days. Resume it to send what it missed.",
        problem="receiver",
        subject="receiver",
    ),
    "receiver.resumed": EventKind(
        severity=INFO,
        text="The receiver {url} is called again.",
        subject="receiver",
        ends=("receiver",),
    ),
    "delivery.dead": EventKind(
        severity=ERROR, text="A delivery of {topic} is dead after {attempts} attempts: {reason}"
    ),
}
