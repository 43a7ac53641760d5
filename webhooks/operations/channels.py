"""One channel: its address, its format, its secret and what its format needs."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator, Mapping
from typing import Any

from django.db import transaction

from registry.identity.accounts import Caller
from registry.models import Service
from registry.operations import configured
from registry.operations.configured import Precondition
from saga_project.shared import crypto, transitions
from webhooks import errors
from webhooks.models import Configuration, Delivery, Endpoint, receiver_of
from webhooks.operations import approvers, endpoint_secrets
from webhooks.operations import configuration as configurations
from webhooks.outbound import channels
from webhooks.outbound.alerts import defaults
from webhooks.outbound.approval_links import APPROVER, APPROVERS
from webhooks.outbound.channels import mail, pagerduty, slack, template

MAX_CHANNEL_SECRET = 4_096
_DEFAULT_URLS = {channels.PAGERDUTY: pagerduty.URL, channels.SLACK: slack.API_URL}
_OPTIONS = {
    channels.TEMPLATE: {"template", "content_type"},
    channels.SLACK: {"channel", APPROVER, APPROVERS},
    **{form: {APPROVER} for form in (channels.EMAIL, channels.DISCORD, channels.TEAMS)},
}
_SLACK_USER = re.compile(r"[UW][A-Z0-9]{2,30}", re.ASCII)
MAX_APPROVERS = 200


def add_channel(
    service: Service | None, values: Mapping[str, Any], *, by: Caller | None, now: dt.datetime
) -> Endpoint:
    """Make a channel of a service, or a global one. Raises InvalidChannel, ChannelExists, ServiceOwned."""
    with transaction.atomic(durable=True):
        return put_channel(service, values, by=by, now=now)


def put_channel(
    service: Service | None,
    values: Mapping[str, Any],
    *,
    by: Caller | None,
    now: dt.datetime,
    makes_default_rules: bool = True,
) -> Endpoint:
    """The same, inside the caller's transaction."""
    known, _ = Configuration.objects.get_or_create(service=service, defaults={"configured_at": now})
    owner = _locked(known.pk)
    configurations.check_may_configure(owner, by=by)
    before = configurations.describe(owner)
    if service is None and by is not None:
        configurations.administer(owner, now=now)
    if owner.endpoints.filter(channel=values["channel"]).exists():
        raise errors.ChannelExists("There is such a channel already: change that one.")
    if owner.endpoints.count() >= configurations.MAX_ENDPOINTS:
        raise errors.InvalidChannel(f"There are at most {configurations.MAX_ENDPOINTS} channels.")
    endpoint = Endpoint(configuration=owner, channel=values["channel"])
    _set(endpoint, values)
    _check_approvers(endpoint, {}, by=by)
    endpoint.save()
    if makes_default_rules:
        defaults.ensure()
    _finish(owner, before=before, by=by, now=now)
    return endpoint


def change_channel(
    pk: int,
    values: Mapping[str, Any],
    *,
    by: Caller | None,
    now: dt.datetime,
    precondition: Precondition,
) -> Endpoint:
    """Set ``values`` on a channel; what waits for another try goes where it leads now."""
    with transaction.atomic(durable=True):
        return alter_channel(pk, values, by=by, now=now, precondition=precondition)


def alter_channel(
    pk: int,
    values: Mapping[str, Any],
    *,
    by: Caller | None,
    now: dt.datetime,
    precondition: Precondition = configured.no_precondition,
) -> Endpoint:
    """The same, inside the caller's transaction."""
    endpoint, owner, before = _to_change(pk, by=by, precondition=precondition)
    if owner.service_id is None and by is not None:
        owner.is_administered = True
    known = dict(endpoint.options)
    _set(endpoint, values)
    _check_approvers(endpoint, known, by=by)
    endpoint.save()
    waiting = Delivery.objects.filter(status=Delivery.Status.PENDING, endpoint=endpoint)
    waiting.update(url=endpoint.url, receiver=receiver_of(endpoint.url))
    _finish(owner, before=before, by=by, now=now)
    return endpoint


def remove_channel(
    pk: int, *, by: Caller | None, now: dt.datetime, precondition: Precondition
) -> None:
    """Delete a channel; what waits for it is dead."""
    with transaction.atomic(durable=True):
        drop_channel(pk, by=by, now=now, precondition=precondition)


def drop_channel(
    pk: int,
    *,
    by: Caller | None,
    now: dt.datetime,
    precondition: Precondition = configured.no_precondition,
) -> None:
    """The same, inside the caller's transaction."""
    endpoint, owner, before = _to_change(pk, by=by, precondition=precondition)
    transitions.move_rows(
        Delivery.objects.filter(status=Delivery.Status.PENDING, endpoint=endpoint),
        Delivery.Status.DEAD,
        reason="The channel was taken out of the configuration.",
        finished_at=now,
    )
    endpoint.delete()
    _finish(owner, before=before, by=by, now=now)


def _locked(pk: int) -> Configuration:
    rows = Configuration.objects.select_related("service").select_for_update(
        of=("self",), no_key=True
    )
    return rows.get(pk=pk)


def _to_change(
    pk: int, *, by: Caller | None, precondition: Precondition
) -> tuple[Endpoint, Configuration, dict[str, Any]]:
    found = Endpoint.objects.filter(pk=pk).first()
    if found is None:
        raise errors.ChannelNotFound("There is no such channel.")
    owner = _locked(found.configuration_id)
    configurations.check_may_configure(owner, by=by)
    endpoint = Endpoint.objects.select_for_update(no_key=True).filter(pk=pk).first()
    if endpoint is None:
        raise errors.ChannelNotFound("There is no such channel.")
    endpoint.configuration = owner
    precondition(endpoint)
    return endpoint, owner, configurations.describe(owner)


def _finish(
    owner: Configuration, *, before: Mapping[str, Any], by: Caller | None, now: dt.datetime
) -> None:
    owner.configured_at = now
    owner.save()
    configurations.notify(owner)
    configurations.record(owner, before=before, by=by, now=now)


def _set(endpoint: Endpoint, values: Mapping[str, Any]) -> None:
    if "format" in values:
        endpoint.format = values["format"]
    if "options" in values:
        endpoint.options = dict(values["options"])
    form = channels.format_of(endpoint.channel, url=endpoint.url, named=endpoint.format)
    url = values.get("url") or endpoint.url or _DEFAULT_URLS.get(form, "")
    configurations.check_address(url, field="url")
    if endpoint.pk is not None:
        endpoint_secrets.drop(endpoint.configuration, {endpoint.channel: url})
        kept = Endpoint.objects.get(pk=endpoint.pk)
        endpoint.sealed_secret = kept.sealed_secret
        endpoint.sealed_signing_secret = kept.sealed_signing_secret
        if "options" not in values:
            endpoint.options = kept.options
    endpoint.url = url
    if "secret" in values:
        secret = values["secret"]
        endpoint.sealed_secret = crypto.encrypt(secret) if secret else ""
    if "signing_secret" in values:
        secret = values["signing_secret"]
        endpoint.sealed_signing_secret = crypto.encrypt(secret) if secret else ""
    for field, text in _faults(endpoint):
        raise errors.InvalidChannel(f"{field}: {text}", field=field)


def _faults(endpoint: Endpoint) -> Iterator[tuple[str, str]]:
    form = channels.format_of(endpoint.channel, url=endpoint.url, named=endpoint.format)
    if configurations.CHANNEL.fullmatch(endpoint.channel) is None:
        yield "channel", "A channel's name has letters, digits and . _ - only."
    is_mail = endpoint.url.startswith(mail.SCHEME)
    if endpoint.format and (endpoint.format == channels.EMAIL) != is_mail:
        yield "url", "An e-mail channel leads to mailto:ops@example.com, and no other one does."
    unknown = set(endpoint.options) - _OPTIONS.get(form, set())
    if unknown:
        yield "options", f"The format {form} knows no option {min(unknown)!r}."
    if form == channels.PAGERDUTY and not endpoint.sealed_secret:
        yield "secret", "PagerDuty takes the integration's routing key as 'secret'."
    if form == channels.SLACK and endpoint.sealed_secret and not endpoint.options.get("channel"):
        yield "options", "With a bot's token Slack takes the option 'channel', such as C0123456."
    if endpoint.sealed_signing_secret and form != channels.SLACK:
        yield "signing_secret", "Only Slack signs the clicks on buttons."
    yield from _approver_faults(endpoint)
    if form == channels.TEMPLATE:
        yield from _template_faults(endpoint.options)


def _approver_faults(endpoint: Endpoint) -> Iterator[tuple[str, str]]:
    people = endpoint.options.get(APPROVERS, {})
    if APPROVER in endpoint.options and not isinstance(endpoint.options[APPROVER], str):
        yield "options", "'approver' is the name of a person or account."
    is_list = endpoint.url.startswith(mail.SCHEME) and len(mail.addresses(endpoint.url)) > 1
    if APPROVER in endpoint.options and is_list:
        yield "options", "Links of an 'approver' go to one address."
    is_map = isinstance(people, dict) and len(people) <= MAX_APPROVERS
    if not is_map or not all(
        _SLACK_USER.fullmatch(user) and isinstance(name, str) for user, name in people.items()
    ):
        yield "options", "'approvers' maps ids of Slack's users, such as U0123ABCD, to people."
    elif people and not (endpoint.sealed_secret and endpoint.sealed_signing_secret):
        yield "signing_secret", "Buttons take a bot's token and the app's signing secret."


def _check_approvers(endpoint: Endpoint, known: Mapping[str, Any], *, by: Caller | None) -> None:
    """Raise ApproverRefused unless an administrator names people that may decide, on a global channel."""
    named = {name: endpoint.options.get(name) for name in (APPROVER, APPROVERS)}
    if not any(named.values()) or all(known.get(name) == named[name] for name in named):
        return
    if by is None or not by.is_admin or endpoint.configuration.service_id is not None:
        raise errors.ApproverRefused(
            "Only a token with the scope 'admin:registry' names approvers, on a channel of all services."
        )
    for name in {named[APPROVER], *(named[APPROVERS] or {}).values()} - {None}:
        approvers.check(str(name))


def _template_faults(options: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    text, content_type = options.get("template"), options.get("content_type")
    if not isinstance(text, str) or not isinstance(content_type, str):
        yield "options", "A template takes the options 'template' and 'content_type'."
        return
    try:
        template.check(text, content_type=content_type)
    except ValueError as exc:
        yield "options", str(exc)
