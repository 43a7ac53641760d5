"""Do one order with the modules that a worker uses, and say what came of it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from updates.artifacts import health, store, uploads
from updates.rollouts import actions
from updates.rollouts.agents import documents
from updates.step_context import Interrupted, StepFailed, TransientFailure

logger = logging.getLogger(__name__)
MAX_MESSAGE = 8000
Outcome = dict[str, Any]


def perform(
    order: dict[str, Any],
    *,
    server: str,
    token: str,
    checkpoint: Callable[[], None],
    report: Callable[[int, str], None],
) -> Outcome:
    """Return the outcome as it is reported; raises Interrupted where the order should end without one."""
    document = order["document"]
    if order["action"] == "probe":
        fault = health.probe(document["url"])
        return _outcome("failed" if fault else "succeeded", fault or "")
    try:
        own = _with_own_store(document, server=server, token=token)
        work = documents.read(own, checkpoint=checkpoint, report=report)
        done = actions.find(work.target, order["action"])(work)
    except TransientFailure as exc:
        return _outcome("transient", str(exc))
    except StepFailed as exc:
        return _outcome("failed", str(exc))
    except Interrupted:
        raise
    except OSError as exc:
        logger.exception("step failed on disk")
        return _outcome("failed", f"It failed on disk: {store.describe_disk(exc)}.")
    except Exception:
        logger.exception("step failed unexpectedly")
        return _outcome("failed", "An unexpected error; the log of the agent has it.")
    return {
        **_outcome("succeeded", done.message),
        "result": done.result,
        "is_skipped": done.is_skipped,
    }


def _outcome(kind: str, message: str) -> Outcome:
    return {"kind": kind, "message": message[:MAX_MESSAGE]}


def _with_own_store(document: dict[str, Any], *, server: str, token: str) -> dict[str, Any]:
    """Have an artifact of Saga's own store fetched from the agent's server, with the node's token."""
    if uploads.id_of(document["artifact_url"]) is None:
        return document
    path = urlsplit(document["artifact_url"]).path
    headers = {"Authorization": f"Bearer {token}"}
    return {**document, "artifact_url": f"{server}{path}", "artifact_headers": headers}
