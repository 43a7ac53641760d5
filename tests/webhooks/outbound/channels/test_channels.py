"""Payloads by each platform's own rules: escaping, mentions defused, limits."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from webhooks.outbound import channels
from webhooks.outbound.channels.notification import Notification, cut

NOW = dt.datetime(2026, 1, 15, 10, 30, tzinfo=dt.UTC)


def render(channel: str, message: str, severity: str = "info") -> dict[str, Any]:
    return channels.render(channel, Notification("payment-service", message, severity, NOW))


def test_slack_message_names_service_text_and_severity() -> None:
    assert render("slack", "updated to 1.3.0", "error")["text"] == (
        "[ERROR] payment-service: updated to 1.3.0"
    )


def test_slack_escapes_what_it_would_interpret() -> None:
    text = render("slack", "<!channel> <@U123> <http://evil.example|click> a&b")["text"]

    assert text.endswith("&lt;!channel&gt; &lt;@U123&gt; &lt;http://evil.example|click&gt; a&amp;b")


def test_slack_links_no_names() -> None:
    payload = render("slack", "@channel")

    assert (payload["link_names"], payload["parse"]) == (False, "none")


@pytest.mark.parametrize("length", [39_970, 40_000, 100_000])
def test_slack_is_cut_between_entities(length: int) -> None:
    text = render("slack", "<" * length)["text"]

    assert len(text) <= 40_000
    assert text.endswith("&lt;…")


def test_discord_message_mentions_no_user() -> None:
    payload = render("discord", "@everyone <@123>")

    assert payload["allowed_mentions"] == {"parse": []}
    assert payload["content"].endswith("@everyone <@123>")


def test_discord_is_cut_to_its_limit() -> None:
    content = render("discord", "😀" * 2000)["content"]

    assert len(content.encode("utf-16-le")) // 2 <= 2000
    assert content.endswith("😀…")


def test_teams_gets_a_card_with_plain_text() -> None:
    payload = render("teams", "**bold** <at>all</at>", "critical")

    card = payload["attachments"][0]["content"]
    run = card["body"][0]["inlines"][0]
    assert card["type"] == "AdaptiveCard"
    assert run["type"] == "TextRun"
    assert run["text"] == "[CRITICAL] payment-service: **bold** <at>all</at>"
    assert run["color"] == "attention"


@pytest.mark.parametrize("character", ["a", "ü", "😀", '"', "\x01"])
def test_teams_stays_below_28_kilobytes(character: str) -> None:
    assert len(json.dumps(render("teams", character * 100_000))) < 28_000


def test_any_other_channel_gets_standard_webhooks() -> None:
    assert render("pager", "<down>", "warning") == {
        "type": "notification",
        "timestamp": "2026-01-15T10:30:00+00:00",
        "data": {"service_name": "payment-service", "message": "<down>", "severity": "warning"},
    }


@settings(max_examples=100, deadline=None)
@given(text=st.text(max_size=60), limit=st.integers(1, 40))
def test_a_cut_text_never_exceeds_its_limit_and_a_short_one_is_whole(text: str, limit: int) -> None:
    result = cut(text, limit)

    units = len(text.encode("utf-16-le")) // 2
    assert len(result.encode("utf-16-le")) // 2 <= limit
    assert (result == text) == (units <= limit) or text.endswith("…")


LINK = "https://saga.example.com/admin/services/payment-service/"


@pytest.mark.parametrize(
    ("channel", "place"),
    [
        ("slack", f"\\n<{LINK}>"),
        ("discord", f"\\n<{LINK}>"),
        ("teams", f'"Action.OpenUrl", "title": "Open in Saga", "url": "{LINK}"'),
        ("hooks", f'"link": "{LINK}"'),
    ],
)
def test_message_links_to_the_console(channel: str, place: str) -> None:
    notification = Notification("payment-service", "x" * 50_000, "error", NOW, link=LINK)

    rendered = json.dumps(channels.render(channel, notification), ensure_ascii=False)

    assert place in rendered


def test_link_stays_within_the_limit_of_the_channel() -> None:
    notification = Notification("payment-service", "x" * 50_000, "error", NOW, link=LINK)

    assert len(channels.render("slack", notification)["text"]) <= 40_000
    assert len(channels.render("discord", notification)["content"]) <= 2_000
