"""Orders are for one node, for a minute, and from the control plane only."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

import pytest

from updates.rollouts.agents import envelopes

NOW = dt.datetime(2026, 3, 2, 12, tzinfo=dt.UTC)
PRIVATE, PUBLIC = envelopes.make_key()


def signed(**changes: Any) -> str:
    document = {
        "id": "1",
        "node": "web1",
        "expires_at": (NOW + dt.timedelta(seconds=60)).isoformat(),
        **changes,
    }
    return envelopes.sign(document, private=PRIVATE)


def opened(text: str, **changes: Any) -> dict[str, Any]:
    return envelopes.open_envelope(
        text, **{"public": PUBLIC, "node": "web1", "now": NOW, **changes}
    )


def test_order_for_this_node_is_read() -> None:
    assert opened(signed(action="switch"))["action"] == "switch"


def altered(text: str) -> str:
    envelope = json.loads(text)
    return json.dumps({**envelope, "payload": envelope["payload"].replace('"1"', '"2"')})


@pytest.mark.parametrize(
    ("text", "changes"),
    [
        (signed(), {"node": "web2"}),
        (signed(), {"now": NOW + dt.timedelta(minutes=5)}),
        (signed(), {"public": envelopes.make_key()[1]}),
        (altered(signed()), {}),
        (signed(node=None), {}),
        ("{}", {}),
        ("[]", {}),
        ("no JSON", {}),
        (json.dumps({"payload": "{}", "signature": "AA=="}), {}),
        (json.dumps({"payload": "{}", "signature": 7}), {}),
    ],
    ids=[
        *("for another node", "expired", "by another key", "altered", "for no node"),
        *("empty", "a list", "no JSON", "wrong signature", "a number as signature"),
    ],
)
def test_any_other_order_is_refused(text: str, changes: dict[str, Any]) -> None:
    with pytest.raises(envelopes.OrderRefused):
        opened(text, **changes)


def test_join_token_names_the_key() -> None:
    assert envelopes.fingerprint(PUBLIC) != envelopes.fingerprint(envelopes.make_key()[1])
