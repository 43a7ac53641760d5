"""What a node does in a step, by its name: the same for a worker of the node and for its agent."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from updates.artifacts.installers import container, directory, hooks, remote, script, systemd
from updates.artifacts.installers.hooks import Hook
from updates.models import Target
from updates.rollouts import restarts
from updates.rollouts.strategies import Action
from updates.step_context import Outcome, StepContext, StepFailed

INSTALLERS: Mapping[str, Mapping[str, Callable[[StepContext], Outcome]]] = {
    Target.Installer.DIRECTORY: directory.STEPS,
    Target.Installer.CONTAINER: container.STEPS,
    Target.Installer.SYSTEMD: systemd.STEPS,
    Target.Installer.COMMAND: script.STEPS,
}


#: Ends what a first deployment started, or what runs on a target that goes.
STOP = "stop instance"


def find(target: Target, name: str) -> Callable[[StepContext], Outcome]:
    """Return what a step does on the node; raises StepFailed where it is none."""
    if name == STOP:
        return restarts.stop
    if name == Action.RESTART:
        return restarts.restart
    own = INSTALLERS.get(target.installer, remote.STEPS)
    if name in own:
        return own[name]
    if name in set(Hook):
        return partial(hooks.run, hook=Hook(name))
    raise StepFailed(f"The installer {target.installer} has no step {name}; deploy anew.")
