"""What a caller asks of services and instances, out of query parameters."""

from __future__ import annotations

from drf_spectacular.utils import OpenApiParameter
from rest_framework.request import Request

from registry.directory import ANY, Criteria
from saga_project.shared import api, labels, rules, versions
from saga_project.shared.api import fields

MAX_EXCLUDED = 100
MAX_ZONE_LENGTH = 256

CAPABILITY = fields.text_parameter("capability", rule=rules.CAPABILITY)
VERSION = OpenApiParameter("version", str, description="A range such as `>=1.4,<2`.")
LABEL = OpenApiParameter(
    "label",
    {"type": "string", "maxLength": labels.MAX_SELECTOR_LENGTH},
    description="A selector of labels, such as `env=prod,team!=pay,tier,!legacy`.",
)
PARAMETERS = [
    OpenApiParameter(
        "zone",
        {"type": "string", "maxLength": MAX_ZONE_LENGTH},
        description="Instances of this zone first; of all zones where none of it fits.",
    ),
    VERSION,
    CAPABILITY,
    OpenApiParameter(
        "exclude",
        {
            "type": "array",
            "items": fields.schema_of(rules.INSTANCE_ID),
        },
        description="Instance ids that are not picked.",
    ),
    OpenApiParameter(
        "sticky",
        {"type": "string", "maxLength": 256},
        description="A key, such as a user's id: the same key gets the same instance while it passes.",
    ),
]


def read_criteria(request: Request) -> Criteria:
    """Return what the request asks of an instance; raises InvalidRequest, which names the parameter."""
    if not request.query_params:
        return ANY
    return Criteria(
        zone=api.read_text(request, "zone", maximum_length=MAX_ZONE_LENGTH),
        version=read_version_range(request),
        capability=read_capability(request),
        excluded=_read_excluded(request),
        sticky_key=api.read_text(request, "sticky"),
    )


def described(criteria: Criteria) -> str:
    """Return the conditions in the words of the request, for an error."""
    parts = [
        f"version '{criteria.version}'" if criteria.version is not None else "",
        f"capability '{criteria.capability}'" if criteria.capability is not None else "",
        f"exclude {', '.join(sorted(criteria.excluded)[:5])}" if criteria.excluded else "",
    ]
    return " and ".join(part for part in parts if part) or "the request"


def read_capability(request: Request) -> str | None:
    capability = api.read_text(request, "capability")
    if capability is not None and not rules.CAPABILITY.allows(capability):
        raise rules.InvalidCapability(
            f"'capability' is one of {', '.join(rules.CAPABILITY.choices)}, not '{capability}'.",
            field="capability",
        )
    return capability


def read_version_range(request: Request) -> versions.Range | None:
    text = api.read_text(request, "version")
    if text is None:
        return None
    try:
        return versions.parse_range(text)
    except versions.RangeError as exc:
        raise rules.InvalidVersion(f"'version' is no range: {exc}", field="version") from exc


def read_selector(request: Request) -> labels.Selector | None:
    text = api.read_text(request, "label", maximum_length=labels.MAX_SELECTOR_LENGTH)
    return labels.parse(text, field="label") if text is not None else None


def _read_excluded(request: Request) -> frozenset[str]:
    ids = {text for text in request.query_params.getlist("exclude") if text}
    if len(ids) > MAX_EXCLUDED:
        raise api.InvalidParameter(
            f"'exclude' takes at most {MAX_EXCLUDED} instance ids.", field="exclude"
        )
    for instance_id in sorted(ids):
        if not rules.INSTANCE_ID.allows(instance_id):
            raise rules.InvalidInstanceId(
                f"'exclude' takes instance ids, and '{instance_id[:128]}' is none.", field="exclude"
            )
    return frozenset(ids)
