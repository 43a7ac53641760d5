"""Formats that a channel names: templates, mail, PagerDuty, and Slack's answers."""

from __future__ import annotations

import datetime as dt
import json
from urllib.parse import parse_qs

import pytest

from webhooks.outbound import channels
from webhooks.outbound.channels import mail, slack, template
from webhooks.outbound.channels.notification import Notification
from webhooks.outbound.retry_schedule import AttemptOutcome, NextState, evaluate

NOW = dt.datetime(2026, 1, 15, 10, 30, tzinfo=dt.UTC)
HOSTILE = 'a"b\\\n$link {0.__class__} <script>&=x é 💥'


def notification(message: str = HOSTILE, **fields: object) -> Notification:
    details = {"state": fields.pop("state", "open"), "rule": "r", "count": 1}
    key = str(fields.pop("key", ""))
    return Notification("shop", message, "error", NOW, link="https://x/", key=key, details=details)


@pytest.mark.parametrize(
    ("channel", "url", "named", "form"),
    [
        ("slack", "https://x", "", "slack"),
        ("ops", "https://x", "", "standard"),
        ("email", "https://x", "", "standard"),
        ("ops", "mailto:a@b.example", "", "email"),
        ("slack", "https://x", "template", "template"),
    ],
)
def test_a_format_is_named_or_follows_from_url_and_name(
    channel: str, url: str, named: str, form: str
) -> None:
    assert channels.format_of(channel, url=url, named=named) == form


def test_a_template_makes_json_of_any_text() -> None:
    options = {"template": '{"text": "$message", "n": $count}', "content_type": "application/json"}

    payload = channels.render("template", notification(), options=options)

    assert json.loads(payload["body"]) == {"text": HOSTILE, "n": 1}


def test_a_template_makes_forms_and_plain_text() -> None:
    form = {"template": "text=$message&s=$severity"}
    form["content_type"] = "application/x-www-form-urlencoded"
    plain = {"template": "$$5: $message", "content_type": "text/plain"}

    sent = channels.render("template", notification(), options=form)["body"]
    text = channels.render("template", notification(), options=plain)["body"]

    assert parse_qs(sent) == {"text": [HOSTILE], "s": ["error"]}
    assert text == f"$5: {HOSTILE}"


@pytest.mark.parametrize(
    ("text", "content_type"),
    [
        ("$secret", "text/plain"),
        ("${message.__class__}", "text/plain"),
        ("$", "text/plain"),
        ('{"text": $message}', "application/json"),
        ("x" * 10_001, "text/plain"),
        ("$message", "text/html"),
    ],
)
def test_a_template_that_cannot_work_is_refused(text: str, content_type: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        template.check(text, content_type=content_type)


@pytest.mark.parametrize(
    "url",
    [
        "mailto:",
        "mailto:nobody",
        "mailto:a@b.example?bcc=c@d.example",
        "mailto:a@b.example%0d%0abcc:c@d.example",
        "mailto:" + ",".join(["a@b.example"] * 21),
    ],
)
def test_addresses_of_mail_are_checked(url: str) -> None:
    with pytest.raises(ValueError, match="address"):
        mail.addresses(url)


def test_mail_has_one_line_of_subject_and_escaped_html() -> None:
    payload = channels.render("email", notification("<b>\r\nBcc: x@y.example"))

    assert "\n" not in payload["subject"]
    assert "&lt;b&gt;" in payload["html"]
    assert "https://x/" in payload["text"]


def test_pagerduty_resolves_what_it_triggered() -> None:
    began = channels.render("pagerduty", notification(key="saga-alert-1"))
    ended = channels.render("pagerduty", notification(key="saga-alert-1", state="resolved"))

    assert (began["event_action"], ended["event_action"]) == ("trigger", "resolve")
    assert began["dedup_key"] == ended["dedup_key"] == "saga-alert-1"
    assert "routing_key" not in began


@pytest.mark.parametrize(
    ("answer", "fate", "message_id"),
    [
        ("ok", NextState.DELIVERED, ""),
        ('{"ok": true, "ts": "1.2"}', NextState.DELIVERED, "1.2"),
        ('{"ok": false, "error": "ratelimited"}', NextState.RETRY, ""),
        ('{"ok": false, "error": "channel_not_found"}', NextState.DEAD, ""),
        ("[1]", NextState.DELIVERED, ""),
    ],
)
def test_slack_may_refuse_with_200(answer: str, fate: NextState, message_id: str) -> None:
    outcome = slack.read_answer(AttemptOutcome(status=200, answer=answer))

    assert evaluate(outcome, attempt_count=1, now=NOW).fate is fate
    assert outcome.message_id == message_id
