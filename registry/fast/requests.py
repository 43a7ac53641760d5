"""The calls that make up nearly all of a registry's traffic, answered without Django's handler.

The views in ``registry.api`` define the answers. A function here gives the same answer, or raises
PassToDjango where it is not sure; Django then answers. Nothing is refused here.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from django.conf import settings
from django.http.request import split_domain_port, validate_host

from registry import directory, operations, presence
from registry.api import heartbeats, registrations
from registry.directory import InstanceEntry, ServiceEntry
from registry.fast import bodies
from registry.identity import accounts
from registry.identity.accounts import Caller
from saga_project.shared import api, callers, errors, rate_limits, rules
from saga_project.shared.request_heads import Head

RECALL_SECONDS = 0.9  # How long after its end a token may still be taken for good;
ADMITTED_SECONDS = 0.05  # and so long after that it may still admit the same caller.
ASK_AGAIN_SECONDS = 0.4  # Then one request asks anew, so that the others need not.
MAX_HOSTS = 1000
_read_heartbeat = bodies.reader_of(heartbeats.HeartbeatSerializer)
_read_registration = bodies.reader_of(registrations.RegistrationSerializer)
_IS_OPEN = settings.SAGA_AUTH == "open"
#: Whether a request with this allowed ``Host`` needs no token. Cached: Django's settings are slow to read.
_is_open_to: dict[bytes, bool] = {}


class PassToDjango(Exception):
    """Not sure of the answer: Django is to give it."""


@dataclass(slots=True)
class PendingRenewal:
    """Members to renew, and the body to answer with once Redis has renewed them.

    ``answer`` returns None where Django must answer after all.
    """

    members: Sequence[str]
    answer: Callable[[Sequence[int]], bytes | None]


@dataclass(slots=True)
class Admission:
    """A caller admitted with a scope, its throttling bucket, and when to check it again.

    ``until`` is on the monotonic clock.
    """

    caller: Caller
    bucket: rate_limits.Bucket | None
    until: float


# --- The caller -----------------------------------------------------------------------------------


def admit(head: Head, scope: str) -> Admission | None:
    """Return the caller, None for anonymous in open mode; Django answers doubtful callers.

    The protocol has checked that an anonymous caller's connection is local.
    """
    if head.token_digest is None:
        is_open = _is_open_to.get(head.host) if head.is_direct else False
        if not (is_open if is_open is not None else _check_host(head.host)):
            raise PassToDjango
        return None
    admission: Admission | None = head.kept.get(scope)
    if admission is None or admission.until < time.monotonic():
        admission = head.kept[scope] = _admit(head, head.token_digest, scope)
    return admission


def _check_host(host: bytes) -> bool:
    """Check a new ``Host``, and cache it if it is allowed."""
    text = host.decode("ascii", "replace")
    domain, _ = split_domain_port(text)
    if not domain or not validate_host(domain, settings.ALLOWED_HOSTS):
        raise PassToDjango
    if len(_is_open_to) >= MAX_HOSTS:
        _is_open_to.clear()
    return _is_open_to.setdefault(host, _IS_OPEN and callers.is_loopback_host(text))


def _admit(head: Head, token_digest: str, scope: str) -> Admission:
    """Admit a caller that PostgreSQL recognised by the same token less than a second ago."""
    if head.host not in _is_open_to:
        _check_host(head.host)
    caller = accounts.lookup(
        token_digest, within_seconds=RECALL_SECONDS, ask_again_seconds=ASK_AGAIN_SECONDS
    )
    if caller is None or not caller.has_scope(scope) or rate_limits.is_anyone_barred():
        raise PassToDjango
    return Admission(
        caller,
        rate_limits.bucket_of(caller.key) if not _IS_OPEN else None,
        until=time.monotonic() + ADMITTED_SECONDS,
    )


def count(admission: Admission | None) -> None:
    """Count a call that is about to be answered here; one that must wait is Django's to refuse.

    Anonymous ones are admitted in open mode only, where calls are not throttled.
    """
    if admission is None or admission.bucket is None:
        return
    if admission.bucket.take(time.monotonic()) > 0:
        raise PassToDjango


# --- Heartbeats -----------------------------------------------------------------------------------


def heartbeat(name: str, head: Head, body: bytes) -> PendingRenewal:
    """Most say nothing but that they are alive; whether they are known still is Redis' to say."""
    heartbeat = _heartbeat(name, _object(body)) if body else None
    admission = admit(head, "registry:manage")
    instance_id = heartbeat.instance_id if heartbeat is not None else operations.DEFAULT_INSTANCE
    entry = directory.peek(name) if directory.is_whole() else None
    instance = entry.instances.get(instance_id) if entry is not None else None
    if entry is None or instance is None:
        raise PassToDjango
    if heartbeat is not None and operations.is_news(heartbeat, instance):
        raise PassToDjango
    _check_may_change(admission, name, entry)
    count(admission)
    content = orjson.dumps(heartbeats.refreshed_body(name, ttl_seconds=instance.ttl_seconds))
    return _renewal_of(name, instance, content)


def _renewal_of(name: str, instance: InstanceEntry, content: bytes) -> PendingRenewal:
    """Renew one, answer ``content``, and apply to memory at once what the change channel will report."""

    def answer(times: Sequence[int]) -> bytes | None:
        at_us = times[0]
        if not at_us:
            return None
        instance.renew(at_us)
        return content

    return PendingRenewal([presence.member_of(name, instance.instance_id)], answer)


def bulk_heartbeat(head: Head, body: bytes) -> PendingRenewal:
    """The same for many; the answer names missing ones, so that Django is not needed for them."""
    items = _object(body).get("services")
    if not isinstance(items, list) or not 1 <= len(items) <= heartbeats.MAX_BULK:
        raise PassToDjango
    admission = admit(head, "registry:manage")
    members: list[str] = []
    instances: list[InstanceEntry | None] = []
    for item in items:
        name, heartbeat = _bulk_item(item)
        entry = _known(name, admission)
        instance_id = (
            heartbeat.instance_id if heartbeat is not None else operations.DEFAULT_INSTANCE
        )
        instance = entry.instances.get(instance_id) if entry is not None else None
        if (
            heartbeat is not None
            and instance is not None
            and operations.is_news(heartbeat, instance)
        ):
            raise PassToDjango
        members.append(presence.member_of(name, instance_id))
        instances.append(instance)
    count(admission)

    def answer(times: Sequence[int]) -> bytes | None:
        refreshed: list[int] = []
        missing: list[str] = []
        for member, instance, at_us in zip(members, instances, times, strict=True):
            if not at_us:
                missing.append(presence.split_member(member)[0])
            elif instance is not None:
                instance.renew(at_us)
                refreshed.append(instance.ttl_seconds)
            else:
                return None  # Redis may know an instance that memory does not hold yet.
        renewed = operations.Renewed(
            refreshed=len(refreshed),
            ttl_seconds=min(refreshed, default=settings.REGISTRATION_TTL),
            missing=missing,
        )
        return orjson.dumps(heartbeats.bulk_refreshed_body(renewed))

    return PendingRenewal(members, answer)


def _object(body: bytes) -> dict[str, Any]:
    try:
        return api.read_json_object(body)
    except errors.SagaError:
        raise PassToDjango from None


def _bulk_item(item: Any) -> tuple[str, operations.Heartbeat | None]:
    """Return the name, and the heartbeat where the item says more than that its service is alive."""
    name = item.get("service_name") if isinstance(item, dict) else item
    if not isinstance(name, str) or not rules.SERVICE_NAME.allows(name):
        raise PassToDjango
    return name, None if item is name else _heartbeat(name, item)


def _heartbeat(name: str, data: dict[str, Any]) -> operations.Heartbeat:
    """Return the heartbeat that ``data`` is; Django takes one that says more than a health."""
    body = _read_heartbeat(data)
    if body is None or "version" in body or "note" in body:
        raise PassToDjango
    return heartbeats.heartbeat_of(name, body)


def _known(name: str, admission: Admission | None) -> ServiceEntry | None:
    """Return the live service as memory has it, which the caller may change."""
    if not directory.is_whole():
        raise PassToDjango
    entry = directory.peek(name)
    if entry is not None and not entry.live(directory.now_us()):
        entry = None
    _check_may_change(admission, name, entry)
    return entry


def _check_may_change(admission: Admission | None, name: str, entry: ServiceEntry | None) -> None:
    caller = admission.caller if admission is not None else None
    try:
        accounts.check_may_change(
            caller,
            name,
            owner_id=entry.account_id if entry else None,
            labels=entry.labels if entry else {},  # Django asks PostgreSQL
        )
    except errors.SagaError:
        raise PassToDjango from None


# --- Registering ----------------------------------------------------------------------------------


def registration(head: Head, body: bytes) -> PendingRenewal | operations.NewRegistration:
    """Renew an instance that registers as we know it already, or add a service that is not known yet."""
    wanted = _registration(_object(body))
    admission = admit(head, "registry:manage")
    entry = _known(wanted.service_name, admission)
    caller = admission.caller if admission is not None else None
    if entry is None:
        count(admission)
        return operations.NewRegistration(wanted, caller)
    instance = operations.same_instance(entry, wanted, by=caller)
    if instance is None:
        raise PassToDjango
    count(admission)
    return _renewal_of(entry.name, instance, registered(operations.as_registered(entry, instance)))


def registered(answer: operations.Registered) -> bytes:
    return orjson.dumps(registrations.registered_body(answer))


def _registration(data: dict[str, Any]) -> operations.Registration:
    body = _read_registration(data)
    if body is None:
        raise PassToDjango
    return registrations.registration_of(body)
