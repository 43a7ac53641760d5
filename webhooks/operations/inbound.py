"""Being told: what each webhook route does, once, in one transaction with the call and its event."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from functools import partial
from typing import Any

import registry.operations
import updates.errors
import updates.operations
from registry import events, names
from registry.errors import InvalidVersion, ServiceNotFound
from registry.models import Service
from saga_project.shared import api
from updates.models import Approval, Job
from webhooks import errors, event_constructors
from webhooks.inbound import bodies, calls
from webhooks.inbound.calls import Call, CallAnswer
from webhooks.inbound.senders import github
from webhooks.operations import configuration, notifications

Data = dict[str, Any]
MAX_AHEAD = dt.timedelta(days=1)
ANNOUNCED = (
    "version",
    "artifact_url",
    "artifact_type",
    "checksum",
    "signature",
    "notes",
    "channel",
    "published_at",
)
REPORTS_ITS_VERSION = frozenset({"started", "restarted", "deployed"})


def receive(call: Call, *, now: dt.datetime) -> CallAnswer:
    """Act on a call with a verified signature; raises what its route rejects."""
    if github.IGNORED in call.fields and call.route == "update":
        return calls.act_once(call, partial(_ignore, call), now=now)
    if github.NEWS in call.fields and call.route == "update":
        return calls.act_once(call, partial(_hear, call, call.fields[github.NEWS]), now=now)
    data = bodies.read(call.route, call.fields)
    return ROUTES[call.route](call, data, now)


def _ignore(call: Call) -> CallAnswer:
    return CallAnswer(202, {"status": "ignored", "message": call.fields[github.IGNORED]})


def _hear(call: Call, news: Data) -> CallAnswer:
    """Follow what a sender says of its own release, as the service's source would read it."""
    service = _service_to_be(call)
    heard = updates.operations.hear(service, updates.operations.News(**news), by=call.actor)
    if heard.ignored:
        return CallAnswer(202, {"status": "ignored", "message": heard.ignored})
    return CallAnswer(
        202,
        {
            "status": "accepted",
            "message": f"Update notification received for {service.name}",
            "service_name": service.name,
            "version": heard.version,
        },
    )


def known_service(name: str) -> Service:
    service = Service.objects.filter(name=name).first()
    if service is None:
        raise ServiceNotFound(f"Service '{name}' not found in registry")
    return service


def _service_to_be(call: Call) -> Service:
    """Return the service, created if unknown; ownership was checked before."""
    known = Service.objects.filter(name=call.service_name).first()
    return known or registry.operations.ensure_service(call.service_name, by=call.caller)


# --- Updates --------------------------------------------------------------------------------------


def _announcement(data: Data) -> updates.operations.Announcement:
    known = {key: data[key] for key in ANNOUNCED if key in data}
    return updates.operations.Announcement(size_bytes=data.get("size"), **known)


def _update(call: Call, data: Data, now: dt.datetime) -> CallAnswer:
    names.check_version(data["version"])
    return calls.act_once(call, partial(_announce, call, data), now=now)


def _announce(call: Call, data: Data) -> CallAnswer:
    service = _service_to_be(call)
    updates.operations.announce(service, _announcement(data), by=call.actor)
    return CallAnswer(
        202,
        {
            "status": "accepted",
            "message": f"Update notification received for {service.name}",
            "service_name": service.name,
            "version": data["version"],
        },
    )


def _check_updates(call: Call, _: Data, now: dt.datetime) -> CallAnswer:
    """Ask the source, which is a call over the network, and only then open the transaction."""
    if calls.first_of(call) is not None:
        return calls.repeat(call, now=now)
    result = updates.operations.check(known_service(call.service_name))
    return calls.act_once(call, partial(_checked, result), now=now)


def _checked(result: updates.operations.CheckResult) -> CallAnswer:
    return CallAnswer(
        200,
        {
            "status": "checked",
            "service_name": result.service_name,
            "current_version": result.current_version,
            "latest_version": result.latest_version,
            "update_available": result.is_update_available,
            **({"warnings": list(result.warnings)} if result.warnings else {}),
        },
    )


# --- Jobs -----------------------------------------------------------------------------------------


def _deploy(call: Call, data: Data, now: dt.datetime) -> CallAnswer:
    names.check_version(data["version"])
    return calls.act_once(call, partial(_queue_deployment, call, data), now=now)


def _queue_deployment(call: Call, data: Data) -> CallAnswer:
    asked = updates.operations.deploy_or_ask(
        _service_to_be(call),
        _announcement(data),
        by=call.actor,
        options=data.get("strategy_options"),
        details=_details(data),
        leave=_leave(call, data),
        **({"strategy": data["strategy"]} if "strategy" in data else {}),
    )
    return _job_answer(asked, f"Deployment process started for service {call.service_name}")


def _details(data: Data) -> updates.operations.Details:
    return updates.operations.Details(
        targets=tuple(data.get("targets", ())),
        labels=data.get("labels", {}),
        reason=data.get("reason", ""),
        is_fast=bool(data.get("fast")),
    )


def _leave(call: Call, data: Data) -> updates.operations.Leave:
    """Return what lets this request pass gates: ``override_reason``, or ``force`` with a ``reason``."""
    force_reason = data.get("reason", "") if data.get("force") else None
    if force_reason is not None and not force_reason.strip():
        raise updates.errors.ReasonMissing("'force' needs a 'reason'.", field="reason")
    return updates.operations.Leave(
        override=call.override(data.get("override_reason")), force_reason=force_reason
    )


def _rollback(call: Call, data: Data, now: dt.datetime) -> CallAnswer:
    return calls.act_once(call, partial(_queue_rollback, call, data), now=now)


def _queue_rollback(call: Call, data: Data) -> CallAnswer:
    service = known_service(call.service_name)
    asked = updates.operations.roll_back_or_ask(
        service,
        data.get("version"),
        by=call.actor,
        options=data.get("strategy_options"),
        details=_details(data),
        leave=_leave(call, data),
    )
    return _job_answer(asked, f"Rollback process started for service {service.name}")


def _job_answer(asked: Job | Approval, message: str) -> CallAnswer:
    if isinstance(asked, Approval):
        return _approval_answer(asked)
    return CallAnswer(
        202,
        {
            "status": "accepted",
            "job_id": asked.job_id,
            "message": message,
            "service_name": asked.service.name,
            "version": asked.version,
        },
    )


def _approval_answer(approval: Approval) -> CallAnswer:
    name, version = approval.service.name, approval.release.version
    verb = "Rollback" if approval.kind == Job.Kind.ROLLBACK else "Deployment"
    return CallAnswer(
        202,
        {
            "status": "awaiting_approval",
            "job_id": None,
            "message": f"{verb} of service {name} to {version} awaits the approval of a second person",
            "service_name": name,
            "version": version,
        },
    )


# --- Reports --------------------------------------------------------------------------------------


def _read_time(data: Data, now: dt.datetime) -> dt.datetime:
    if "timestamp" not in data:
        return now
    moment = api.parse_time(data["timestamp"]) if len(data["timestamp"]) <= 64 else None
    if moment is None:
        raise errors.InvalidTimestamp("'timestamp' must be an RFC 3339 time.", field="timestamp")
    if moment > now + MAX_AHEAD:
        raise errors.InvalidTimestamp(
            "'timestamp' is more than a day ahead of this server's clock.", field="timestamp"
        )
    return moment


def _version_in(details: Data) -> str | None:
    """Return the version that the details name; they are free-form, so anything else is no version."""
    version = details.get("version")
    return version if isinstance(version, str) and _is_version(version) else None


def _is_version(text: str) -> bool:
    try:
        names.check_version(text)
    except InvalidVersion:
        return False
    return True


def _health(call: Call, data: Data, now: dt.datetime) -> CallAnswer:
    at = _read_time(data, now)
    return calls.act_once(call, partial(_record_health, call, data, at, now), now=now)


def _record_health(call: Call, data: Data, at: dt.datetime, now: dt.datetime) -> CallAnswer:
    service, details = known_service(call.service_name), data.get("details", {})
    if registry.operations.note_report(service.name, at=at, now=now):
        note = details.get("message")
        registry.operations.record_health(
            service.name,
            status=data["status"],
            at=now,
            note=note[:1000] if isinstance(note, str) else "",
        )
        _record_version(service, details, now)
    return CallAnswer(
        200, {"status": "received", "message": f"Health status updated for {service.name}"}
    )


def _record_version(service: Service, details: Data, now: dt.datetime) -> None:
    version = _version_in(details)
    if version is not None and version != service.version:
        registry.operations.record_version(service.name, version=version, at=now)


def _lifecycle(call: Call, data: Data, now: dt.datetime) -> CallAnswer:
    at = _read_time(data, now)
    return calls.act_once(call, partial(_record_lifecycle, call, data, at, now), now=now)


def _record_lifecycle(call: Call, data: Data, at: dt.datetime, now: dt.datetime) -> CallAnswer:
    service, details = known_service(call.service_name), data.get("details", {})
    if service.status == Service.Status.DEREGISTERED:
        raise ServiceNotFound(f"Service '{service.name}' not found in registry")
    is_news = registry.operations.note_report(service.name, at=at, now=now)
    if is_news and data["event"] in REPORTS_ITS_VERSION:
        _record_version(service, details, now)
    events.publish(
        event_constructors.lifecycle(service.name, event=data["event"], details=details, at=at)
    )
    return CallAnswer(
        200, {"status": "received", "message": f"Lifecycle event processed for {service.name}"}
    )


# --- Telling and configuring ----------------------------------------------------------------------


def _notify(call: Call, data: Data, now: dt.datetime) -> CallAnswer:
    known_service(call.service_name)
    return notifications.notify(
        call,
        channel=data["channel"],
        message=data["message"],
        severity=data.get("severity", "info"),
        now=now,
    )


def _config(call: Call, data: Data, now: dt.datetime) -> CallAnswer:
    document = call.document or {}
    is_removal = "secret" in document and document["secret"] is None
    change = configuration.ConfigurationChange(
        endpoints=data.get("endpoints"),
        secret=None if is_removal else data.get("secret", configuration.KEEP),
        accepts_global_secret=data.get("accept_global_secret"),
        requires_timestamp=data.get("require_timestamp"),
    )
    configuration.judge(change)
    return calls.act_once(call, partial(_configure, call, change, now), now=now)


def _configure(
    call: Call, change: configuration.ConfigurationChange, now: dt.datetime
) -> CallAnswer:
    service = _service_to_be(call) if call.service_name else None
    configuration.put(service, change, by=call.caller, now=now)
    what = (
        f"Webhook configuration updated for {call.service_name}"
        if call.service_name
        else "Global webhook configuration updated"
    )
    return CallAnswer(200, {"status": "configured", "message": what})


ROUTES: dict[str, Callable[[Call, Data, dt.datetime], CallAnswer]] = {
    "update": _update,
    "check-updates": _check_updates,
    "health": _health,
    "lifecycle": _lifecycle,
    "deploy": _deploy,
    "rollback": _rollback,
    "notify": _notify,
    "config": _config,
}
