"""Taking a snapshot of presence, and applying to it each change in the order of its sequence number."""

from __future__ import annotations

import functools
from collections.abc import Callable

import orjson

from registry import presence
from registry.directory import memory
from registry.directory.entries import InstanceEntry, Instances, ServiceEntry, entry_of

_state = memory.state


class OutOfSync(Exception):
    """A change was missed, or the channel is silent: begin again."""


def load() -> None:
    """Take a snapshot; every change after its sequence number is still to come over the channel."""
    tick = presence.tick()
    memory.set_clock(tick.now_us)
    _state.filled_us = tick.filled_us
    sequence = presence.sequence()
    documents, scores, holds, floor_us = presence.snapshot()
    services = {}
    for raw in documents:
        entry = assemble(raw, scores, holds, floor_us)
        services[entry.name] = entry
    _state.floor_us, _state.services = floor_us, services
    memory.note_membership()
    memory.note_change(sequence)


def assemble(
    raw: bytes, scores: dict[str, int], holds: dict[str, int], floor_us: int
) -> ServiceEntry:
    document = orjson.loads(raw)
    members = {
        row["instance_id"]: f"{document['name']}/{row['instance_id']}"
        for row in document["instances"]
    }
    return entry_of(
        document,
        {own: scores[member] for own, member in members.items() if member in scores},
        {own: holds[member] for own, member in members.items() if member in holds},
        floor_us=floor_us,
    )


def apply(data: bytes) -> None:
    """Apply one change: kind, sequence, words; a document may follow on the second line."""
    head, _, tail = data.partition(b"\n")
    kind, sequence, *words = head.decode().split(" ")
    number = int(sequence)
    if number <= _state.sequence:
        return
    if number != _state.sequence + 1:
        raise OutOfSync("a change was missed")
    _APPLY[kind](words, tail)
    memory.note_change(number)


def _find(member: str) -> tuple[ServiceEntry | None, InstanceEntry | None]:
    name, _, instance_id = member.partition("/")
    entry = _state.services.get(name)
    return entry, entry.instances.get(instance_id) if entry is not None else None


def _apply_heartbeats(words: list[str], _tail: bytes) -> None:
    """A time and the members that sent a heartbeat then, repeated. Members have a slash."""
    services, at_us = _state.services, 0
    for word in words:
        name, slash, instance_id = word.partition("/")
        if slash:
            entry = services.get(name)
            instance = entry.instances.get(instance_id) if entry is not None else None
            if instance is not None:
                instance.renew(at_us)
        elif word:
            at_us = int(word)


def _apply_numbers(attribute: str, words: list[str], _tail: bytes) -> None:
    """Set, in turn, a member's deadline or hold."""
    for member, number in zip(words[::2], words[1::2], strict=True):
        entry, instance = _find(member)
        if entry is not None and instance is not None:
            setattr(instance, attribute, int(number))


def _apply_put(words: list[str], tail: bytes) -> None:
    name, *rest = words
    before = _state.services.get(name)
    if not tail:
        if _state.services.pop(name, None) is not None:
            memory.note_membership()
        return
    document = orjson.loads(tail)
    scores = {row.instance_id: row.score_us for row in before.instances} if before else {}
    holds = {row.instance_id: row.hold_us for row in before.instances} if before else {}
    for position in range(0, len(rest), 2):
        instance_id = rest[position].partition("/")[2]
        scores[instance_id] = int(rest[position + 1])
        holds[instance_id] = 0
    entry = entry_of(document, scores, holds, floor_us=_state.floor_us)
    _state.services[entry.name] = entry
    if before is None:
        memory.note_membership()


def _apply_expired(words: list[str], _tail: bytes) -> None:
    for member in words:
        name, _, instance_id = member.partition("/")
        entry = _state.services.get(name)
        if entry is not None:
            entry.instances = Instances(
                row for row in entry.instances if row.instance_id != instance_id
            )


def _apply_grace_floor(words: list[str], _tail: bytes) -> None:
    _state.floor_us = int(words[0])
    for entry in _state.services.values():
        entry.floor_us = _state.floor_us


_APPLY: dict[str, Callable[[list[str], bytes], None]] = {
    "B": _apply_heartbeats,
    "D": functools.partial(_apply_numbers, "score_us"),
    "P": _apply_put,
    "X": _apply_expired,
    "H": functools.partial(_apply_numbers, "hold_us"),
    "F": _apply_grace_floor,
}
