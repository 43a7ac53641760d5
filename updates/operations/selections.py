"""Which of a service's targets a job works on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from updates import errors
from updates.models import Target


@dataclass(frozen=True, kw_only=True)
class Details:
    """What a request says beside the version.

    ``targets`` are names, empty for all; of these the job works on those that have each of the labels.
    """

    targets: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    reason: str = ""
    is_fast: bool = False

    def selection(self) -> dict[str, Any]:
        """Return what a job keeps of the selection; nothing where all targets are meant."""
        if not self.targets and not self.labels:
            return {}
        return {"targets": sorted(self.targets), "labels": dict(self.labels)}

    def document(self) -> dict[str, Any]:
        """Return all of it, for a request that awaits its approval."""
        return {**asdict(self), "targets": sorted(self.targets), "labels": dict(self.labels)}


NO_DETAILS = Details()


def narrow(
    targets: Sequence[Target], selection: Mapping[str, Any], *, service_name: str
) -> list[Target]:
    """Return the selected targets in their order; raises InvalidSelection where that is none."""
    names, labels = selection["targets"], selection["labels"]
    # The name of a target that lists instances stands for all of them.
    parents = {target.name: target.parent.name if target.parent else "" for target in targets}
    known = {*parents, *parents.values()} - {""}
    unknown = sorted(set(names) - known)
    if unknown:
        raise errors.InvalidSelection(
            f"Service '{service_name}' has no enabled target {unknown[0]!r}; it has"
            f" {', '.join(sorted(known))}.",
            field="targets",
        )
    wanted = set(names or known)
    named = [target for target in targets if {target.name, parents[target.name]} & wanted]
    selected = [target for target in named if labels.items() <= target.labels.items()]
    if not selected:
        raise errors.InvalidSelection(
            f"No target of service '{service_name}' has the labels {labels}.",
            field="labels",
        )
    return selected
