"""The context and the result of one step of a deployment."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from updates.models import Target


@dataclass(frozen=True, kw_only=True)
class Environment:
    """What a target declares for its commands; ``sealed`` holds decrypted values and is never shown."""

    plain: Mapping[str, str] = field(default_factory=dict)
    sealed: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, kw_only=True)
class RegistryLogin:
    """What an engine of containers logs in to a registry with."""

    host: str
    username: str
    password: str = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class StoredArtifact:
    """An artifact that is read where it lies, instead of fetched from its URL."""

    size: int
    chunks: Iterator[bytes]


class StepFailed(Exception):
    """The step failed; the text says what was wrong."""


class TransientFailure(StepFailed):
    """The step failed by something that may pass: a server that was away, a timeout."""


class Inconclusive(Exception):
    """A gate has too few samples to decide: the job pauses, it does not fail."""


class Interrupted(Exception):
    """The job was aborted, or another worker took it over, while the step was under way."""


class NodeAway(Interrupted):
    """The agent that does the step has not reported; the step itself did not end it."""


@dataclass(frozen=True, kw_only=True)
class StepContext:
    """One step for one target. ``step`` is its place in the job's journal.

    ``previous`` is the release to go back to, None if there was none.

    ``previous_reference`` is the image of that, None where it is not on record.

    ``artifact_headers`` and ``registry_login`` return what the artifact's host wants to see, and may raise a
    SagaError.
    ``stored_artifact`` returns the artifact where its URL names one of Saga's own store.
    ``checkpoint`` raises Interrupted where the step must end at once, and is cheap;
    ``report`` takes the share that is done in percent and a word on it.
    """

    service_name: str
    kind: str
    version: str
    job_id: str
    step: int = 0
    target: Target
    fence: int
    deadline_seconds: float
    artifact_url: str = ""
    artifact_type: str = "binary"
    checksum: str = ""
    artifact_sha256: str = ""
    signature: str = ""
    is_signature_required: bool = False
    signing_keys: tuple[str, ...] = ()
    previous: str | None = None
    previous_reference: str | None = None
    root: Path = Path()
    environment: Environment = field(default_factory=Environment)
    is_rollback: bool = False
    artifact_headers: Callable[[], dict[str, str]] = dict
    stored_artifact: Callable[[], StoredArtifact | None] = lambda: None
    registry_login: Callable[[], RegistryLogin | None] = lambda: None
    checkpoint: Callable[[], None] = lambda: None
    report: Callable[[int, str], None] = lambda _percent, _message: None

    @property
    def wanted_version(self) -> str:
        """The version that the instance runs after this step; empty where nothing ran before."""
        return (self.previous or "") if self.is_rollback else self.version

    @property
    def replaced_version(self) -> str:
        """The version that ran before this step; empty where none did."""
        return self.version if self.is_rollback else (self.previous or "")


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a step ended well; ``result`` is kept in the journal for the steps that follow."""

    message: str
    result: dict[str, Any] = field(default_factory=dict)
    is_skipped: bool = False
