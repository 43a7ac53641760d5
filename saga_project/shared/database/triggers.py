"""Database triggers, as the models of each app define them and its migrations create them.

A migration that was applied is never edited, and neither is the SQL that it reads: a trigger that changes
gets a definition of its own, and a migration that drops the former and creates the new one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class TriggerSet:
    """Triggers that share a function; ``tables`` names the table of each trigger."""

    tables: Mapping[str, str]
    create: str
    drop: str
