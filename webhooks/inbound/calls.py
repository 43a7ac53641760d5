"""An inbound call, the route that it takes, and the answer to it."""

from __future__ import annotations

import dataclasses
import datetime as dt
import hashlib
import json
import re
import uuid
from collections.abc import Callable, Mapping
from typing import Any

from rest_framework import serializers

import updates.operations
from registry.identity.accounts import Caller
from updates.errors import OverrideNotAllowed
from webhooks import errors, signatures
from webhooks.inbound import bodies
from webhooks.signatures import Proof

_MESSAGE_ID = re.compile(r"[!-~]{1,200}", re.ASCII)


@dataclasses.dataclass(frozen=True)
class Person:
    """A member of staff that replays a call; ``may`` says whether a permission is theirs."""

    username: str
    may: Callable[[str], bool]


@dataclasses.dataclass(frozen=True)
class CallAnswer:
    status: int
    body: dict[str, Any]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Call:
    """A call as it came, and what was found out about it so far."""

    route: Route
    raw: bytes = dataclasses.field(repr=False)
    headers: Mapping[str, str] = dataclasses.field(repr=False)
    document: dict[str, Any] | None = dataclasses.field(default=None, repr=False)
    caller: Caller | None = None
    request_id: str = ""
    service_name: str = ""
    proof: Proof = Proof.NOTHING
    message_id: str = ""
    #: The digest of a body if the signature covers nothing else; empty for any other call.
    signed_digest: str = ""
    #: What stands in the query as ``access_token``.
    access_token: str = dataclasses.field(default="", repr=False)
    media_type: str = ""
    replay_of_id: uuid.UUID | None = None
    person: Person | None = None

    @property
    def has_proof(self) -> bool:
        return self.proof in (Proof.SIGNATURE, Proof.SECRET)

    @property
    def actor(self) -> str:
        """Return the caller's name for display."""
        if self.person is not None:
            return self.person.username
        if self.caller is not None:
            return str(self.caller)
        return updates.operations.SIGNED_WEBHOOK if self.has_proof else updates.operations.WEBHOOK

    def override(self, reason: str | None) -> updates.operations.Override | None:
        """Return the override that the call asks for; raises OverrideNotAllowed."""
        if self.person is None or reason is None:
            return updates.operations.override_of(self.caller, reason)
        if not self.person.may("updates.override_calendar"):
            raise OverrideNotAllowed("Your role does not allow an override.")
        return updates.operations.Override(by=self.person.username, reason=reason)

    @property
    def digest(self) -> str:
        """Return the key that makes two bodies equal: content, since GitHub does not keep the bytes."""
        said = self.raw if self.document is None else _canonical(self.document)
        return hashlib.sha256(self.route.name.encode() + b"\n" + said).hexdigest()


def _canonical(document: dict[str, Any]) -> bytes:
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Credentials:
    """What a call shows of the service's secret, in the words of Saga's own signatures."""

    signed: bytes = dataclasses.field(repr=False)
    headers: Mapping[str, str] = dataclasses.field(repr=False)
    shown_secret: str | None = dataclasses.field(default=None, repr=False)

    @property
    def is_timestamped(self) -> bool:
        """Whether the signature covers an id and a time: Standard Webhooks, and no other beside it."""
        return signatures.presented_schemes(self.headers) == [signatures.Scheme.STANDARD]


def own_credentials(call: Call) -> Credentials:
    """Return the signatures in the headers, and the ``webhook_secret`` in the body."""
    shown = (call.document or {}).get("webhook_secret")
    return Credentials(
        signed=call.raw,
        headers=call.headers,
        shown_secret=shown if isinstance(shown, str) else None,
    )


def own_message_id(call: Call) -> str:
    """Return the id of Standard Webhooks, or of GitHub's delivery."""
    for header, prefix in (("webhook-id", ""), ("x-github-delivery", "github:")):
        if header in call.headers:
            return prefix + checked_id(call.headers[header], of=f"'{header}'")
    return ""


def checked_id(text: str, *, of: str) -> str:
    if _MESSAGE_ID.fullmatch(text) is None:
        raise errors.InvalidMessageId(f"{of} has 1-200 printable ASCII characters without spaces.")
    return text


def required_name(call: Call) -> str:
    """Return the service's name in the body; raises InvalidRequest."""
    return bodies.service_name(call.document or {})


@dataclasses.dataclass(frozen=True, kw_only=True)
class Route:
    """An address below ``/api/v1/webhooks/``: the calls that it takes, their effect and its answers.

    ``act`` reads the body, acts in one transaction with the call's row, and answers. ``name_of`` returns the
    service's name, which decides whose secret counts; empty where the call concerns no service.
    """

    name: str
    operation_id: str
    summary: str
    body: type[serializers.Serializer[Any]]
    answers: Mapping[int, type[serializers.Serializer[Any]]]
    scope: str
    #: What the effect asks of a person that replays a call.
    permission: str
    act: Callable[[Call, dt.datetime], CallAnswer]
    name_of: Callable[[Call], str] = required_name
    credentials_of: Callable[[Call], Credentials] = own_credentials
    message_id_of: Callable[[Call], str] = own_message_id
    #: The route acts on a service in its own name: once the service has a secret, calls must show it.
    needs_signature: bool = False
    accepts_signature: bool = True
    #: The secret itself stands for a token as a signature does, for senders that cannot sign.
    is_secret_enough: bool = False
    #: A form body is accepted, with the JSON in its field ``payload``.
    takes_forms: bool = False
    calls_out: bool = False
    further_statuses: tuple[int, ...] = ()
