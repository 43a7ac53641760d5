"""Errors of updates, named after the state that they report."""

from __future__ import annotations

from saga_project.shared.errors import Conflict, InvalidRequest, NotAllowed, NotFound, Unavailable


class InvalidArtifact(InvalidRequest):
    error = "Invalid artifact"


class InvalidVersionRange(InvalidRequest):
    error = "Invalid version range"


class InvalidExportFormat(InvalidRequest):
    error = "Invalid export format"


class TooManyExports(Unavailable):
    """Each export holds a thread for as long as its reader takes."""

    error = "Too many exports"


class InvalidWindow(InvalidRequest):
    error = "Invalid window"


class InvalidStatus(InvalidRequest):
    error = "Invalid status"


class ReleaseDiffers(Conflict):
    """A version is announced again, but it is not the same artifact: one of the two is wrong."""

    error = "Release differs"


class IllegalReleaseMove(Conflict):
    error = "Release state does not allow this"


class UnknownRelease(NotFound):
    error = "Release not found"


class InvalidSource(InvalidRequest):
    """A source that could not be asked; the message names the field and what it must be."""

    error = "Invalid source"


class SourceNotFound(NotFound):
    error = "Source not found"


class SourceExists(Conflict):
    """A service has one source."""

    error = "Source exists"


class ApprovalNotFound(NotFound):
    error = "Approval not found"


class ApprovalDecided(Conflict):
    error = "Approval already decided"


class ApprovalExpired(Conflict):
    """The request was not decided in its time; it can be made again."""

    error = "Approval expired"


class ReleaseChanged(Conflict):
    """The release has another artifact than when the decision was asked for."""

    error = "Release changed"


class AlreadyApproved(Conflict):
    """The same person or account approved it before; another one is asked for."""

    error = "Already approved by you"


class OwnRequest(NotAllowed):
    """Two persons are asked for, and this is one of them twice."""

    error = "Own request"


class ApprovalPending(Conflict):
    error = "Approval already asked for"


class ChangesFrozen(Conflict):
    """A freeze, or no maintenance window: a change needs an override now."""

    error = "Changes are frozen"


class OverrideNotAllowed(NotAllowed):
    error = "Override not allowed"


class ReasonMissing(InvalidRequest):
    error = "Reason missing"


class EntryCorrected(Conflict):
    error = "History entry already corrected"


class SourceUnavailable(Unavailable):
    """Whatever a service's update source did wrong; the message says what."""

    error = "Update source unavailable"
    status = 502


class CredentialNotSent(InvalidRequest):
    """The URL would carry a secret in the clear."""

    error = "Credential not sent"


class ReleaseNotFound(NotFound):
    error = "Version not available"


class VersionRunsAlready(Conflict):
    """A rollback to what every target runs would restore nothing."""

    error = "Version runs already"


class InvalidStrategy(InvalidRequest):
    error = "Invalid strategy"


class InvalidSelection(InvalidRequest):
    """The request names targets or labels that the service does not have."""

    error = "Invalid targets"


class StrategyNotAvailable(InvalidRequest):
    """The service's targets do not allow the strategy; the message says what to configure."""

    error = "Strategy not available"


class JobNotFound(NotFound):
    error = "Job not found"


class JobInProgress(Conflict):
    """One live job a service; a failed rollback counts until staff acknowledge it."""

    error = "Deployment in progress"


class VerbNotAllowed(Conflict):
    """The job's state does not allow what was asked; the message says what it allows."""

    error = "Job state does not allow this"


class ReleaseWithdrawn(Conflict):
    error = "Release withdrawn"


class ReleaseQuarantined(Conflict):
    """It failed, or staff stopped it; it is deployed again with ``force`` and a reason only."""

    error = "Release quarantined"


class ChecksumMissing(Conflict):
    """The policy asks for a digest of the artifact, and the release has none."""

    error = "Checksum missing"


class StatementExpired(Conflict):
    """The maker's signed statement about the release has ended."""

    error = "Signed statement expired"


class ApprovalRequired(Conflict):
    """A second person must approve; ``request_deployment`` and ``request_rollback`` ask for it."""

    error = "Approval required"


class TargetCannotInstall(Conflict):
    """The release is of a type that a target's installer does not take."""

    error = "Target cannot install this artifact"


class NoTarget(Conflict):
    error = "No target"


class InvalidUpload(InvalidRequest):
    error = "Invalid upload"


class UploadNotFound(NotFound):
    error = "Artifact not found"


class UploadStoreFull(Conflict):
    """The uploaded artifacts of all services take what the settings allow."""

    error = "Artifact store full"


class ChunkMisplaced(Conflict):
    """The chunk leaves a gap, or overlaps; the message says where to continue."""

    error = "Chunk out of place"


class UploadDiffers(InvalidRequest):
    """The bytes that arrived are not the announced ones."""

    error = "Digest differs"


class UploadIncomplete(Conflict):
    error = "Artifact incomplete"


class UploadInUse(Conflict):
    error = "Artifact in use"


class InvalidNode(InvalidRequest):
    error = "Invalid node"


class NodeNotFound(NotFound):
    error = "Node not found"


class OrderNotFound(NotFound):
    error = "Order not found"


class NodeNotPending(Conflict):
    error = "Node not pending"


class NodeNotAllowed(NotAllowed):
    """The caller is no node, or one that was revoked."""

    error = "Not a node"


class JoinRefused(NotAllowed):
    error = "Join token refused"
