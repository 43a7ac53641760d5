"""The form that GitHub and Gitea send unless a webhook is set to JSON; pure."""

from __future__ import annotations

import urllib.parse

from saga_project.shared.errors import InvalidRequest

MEDIA_TYPE = "application/x-www-form-urlencoded"


def payload(raw: bytes) -> bytes:
    """Return the JSON in the form's field ``payload``; raises InvalidRequest."""
    try:
        fields = urllib.parse.parse_qs(raw.decode("ascii"), strict_parsing=True, max_num_fields=16)
        (text,) = fields["payload"]
    except (ValueError, KeyError):
        raise InvalidRequest(
            "The form has no field 'payload'. Set the content type of the webhook to"
            " application/json."
        ) from None
    return text.encode("utf-8", "surrogatepass")
