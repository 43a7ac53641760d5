"""Blue-green: two sets of targets, of which one serves while the other stands by.

A target says which set it belongs to. Every target has a folder, an instance id, a health URL and a restart
of its own, so that the new version is installed, started and gated in one set while the other serves.
"""

from __future__ import annotations

from collections.abc import Sequence

from registry import operations as registry
from registry.models import Service
from updates import errors
from updates.models import Job, Target
from updates.rollouts import strategies
from updates.rollouts.strategies import Action

BOTH = {Target.Slot.BLUE, Target.Slot.GREEN}


def choose(strategy: str, targets: Sequence[Target], *, service_name: str) -> list[Target]:
    """Return the targets that a deployment works on: the set that stands by, or all that serve.

    Raises StrategyNotAvailable for blue-green without two sets.
    """
    standby = _standby(targets)
    if strategy != strategies.BLUE_GREEN:
        return [target for target in targets if not standby or target.slot != standby]
    if standby is None:
        raise errors.StrategyNotAvailable(
            f"'blue-green' needs two slots, and service '{service_name}' has one: give some of its"
            " targets the slot blue and others the slot green, each with an install root, an instance and a"
            " port of its own. Until then deploy it with 'rolling' or 'canary'.",
            field="strategy",
        )
    return [target for target in targets if target.slot == standby]


def _standby(targets: Sequence[Target]) -> str | None:
    """Return the slot that does not serve, None unless there are both."""
    if not {target.slot for target in targets} >= BOTH:
        return None
    marked = [target.slot for target in targets if target.is_standby]
    if marked:
        return marked[0]
    has_run = {target.slot for target in targets if target.current_version}
    return Target.Slot.BLUE if has_run == {Target.Slot.GREEN} else Target.Slot.GREEN


def swap(job: Job, *, is_back: bool) -> None:
    """Send all lookups to the job's slot, or back to the other one; in one transaction of the registry."""
    name = job.steps.filter(name=Action.SWITCH).values_list("target__slot", flat=True).first()
    new = Target.Slot(name or Target.Slot.GREEN)
    old = Target.Slot.BLUE if new == Target.Slot.GREEN else Target.Slot.GREEN
    serving, waiting = (old, new) if is_back else (new, old)
    _mark(job.service, serving, is_standby=False)
    _mark(job.service, waiting, is_standby=True)
    registry.switch_instances(
        job.service.name,
        serving=_instances(job.service, serving),
        draining=_instances(job.service, waiting),
        version=job.version,
    )


def _mark(service: Service, slot: str, *, is_standby: bool) -> None:
    service.targets.filter(slot=slot).update(is_standby=is_standby)


def _instances(service: Service, slot: str) -> list[str]:
    rows = service.targets.filter(slot=slot).exclude(instance_id="")
    return list(rows.values_list("instance_id", flat=True))
