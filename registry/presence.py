"""Who is alive, in Redis; the only module that knows its keys.

    saga:services    hash   service → JSON document (the service with its live instances)
    saga:revisions   hash   service → revision of the newest document ever written
    saga:deadlines   zset   "service/instance" → deadline in µs of Redis' clock
    saga:ttls        hash   "service/instance" → TTL in µs
    saga:holds       hash   suspects: "service/instance" → kept until, in µs
    saga:expiring    hash   taken by a sweep, not yet in PostgreSQL → their last deadline
    saga:meta        hash   seq, floor, tick, born, run_id

Every script that changes something takes the next ``seq`` and publishes the change with it, so that a
web process can hold a replica (``directory``) and notice a gap. The last heartbeat is the deadline minus
the TTL; nobody expires before ``floor`` + TTL, which is how time in which nobody could beat is given back.
"""

from __future__ import annotations

import datetime as dt
import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import KW_ONLY, dataclass
from typing import Any

import orjson
from django.conf import settings
from django_redis import get_redis_connection
from redis import Redis
from redis import exceptions as redis_exceptions
from redis.asyncio import Redis as AsyncRedis
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff

from saga_project import errors

logger = logging.getLogger(__name__)

CHANGES_CHANNEL = "saga:changes"
DOORBELL_CHANNEL = "saga:events"
RENEWAL_TIMEOUT_SECONDS = 0.7
AWAY_SECONDS = 3.0  # Nobody ticked for this long: nobody could beat either.

SERVICES, REVISIONS, DEADLINES = "saga:services", "saga:revisions", "saga:deadlines"
TTLS, HOLDS, EXPIRING, META = "saga:ttls", "saga:holds", "saga:expiring", "saga:meta"
_KEYS = (SERVICES, REVISIONS, DEADLINES, TTLS, HOLDS, EXPIRING, META, CHANGES_CHANNEL)

_PROLOGUE = """
local SERVICES, REVISIONS, DEADLINES, TTLS, HOLDS, EXPIRING, META, CHANNEL = unpack(KEYS)
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local function text(number) return string.format('%.0f', number) end
local function tell(kind, words, tail)
  local seq = redis.call('HINCRBY', META, 'seq', 1)
  table.insert(words, 1, text(seq))
  table.insert(words, 1, kind)
  local message = table.concat(words, ' ')
  if tail then message = message .. '\\n' .. tail end
  redis.call('PUBLISH', CHANNEL, message)
  return seq
end
local floor = tonumber(redis.call('HGET', META, 'floor') or '0')
local function until_when(member, score, ttl)
  local deadline = math.max(score, floor + ttl)
  local hold = redis.call('HGET', HOLDS, member)
  if hold then deadline = math.max(deadline, tonumber(hold)) end
  return deadline
end
"""

# Renews each member that is still alive; answers its new deadline, or 0.
_RENEW = (
    _PROLOGUE
    + """
if redis.call('HEXISTS', META, 'born') == 0 then return redis.error_reply('NOTREADY refill first') end
local answer, words = {}, {}
for position, member in ipairs(ARGV) do
  local score = redis.call('ZSCORE', DEADLINES, member)
  local deadline = 0
  if score then
    local ttl = tonumber(redis.call('HGET', TTLS, member))
    if until_when(member, tonumber(score), ttl) > now then
      deadline = now + ttl
      redis.call('ZADD', DEADLINES, text(deadline), member)
      words[#words + 1] = member
      words[#words + 1] = text(deadline)
    end
  end
  answer[position] = text(deadline)
end
if #words > 0 then tell('B', words) end
return answer
"""
)

# ARGV: name, revision, document ('' for none), then triples member, ttl, what:
# 'renew' (deadline now + ttl), 'drop', or a deadline that is taken where the member has none.
_PUT = (
    _PROLOGUE
    + """
local name, revision, document = ARGV[1], tonumber(ARGV[2]), ARGV[3]
local is_newest = revision >= tonumber(redis.call('HGET', REVISIONS, name) or '0')
if is_newest then
  redis.call('HSET', REVISIONS, name, ARGV[2])
  if document == '' then redis.call('HDEL', SERVICES, name)
  else redis.call('HSET', SERVICES, name, document) end
end
local words = {name}
for position = 4, #ARGV, 3 do
  local member, ttl, what = ARGV[position], ARGV[position + 1], ARGV[position + 2]
  local deadline = nil
  if what == 'drop' then
    if is_newest then
      redis.call('ZREM', DEADLINES, member)
      redis.call('HDEL', TTLS, member)
      redis.call('HDEL', HOLDS, member)
      redis.call('HDEL', EXPIRING, member)
    end
  elseif what == 'renew' then
    deadline = now + tonumber(ttl)
    redis.call('HDEL', EXPIRING, member)
    redis.call('HDEL', HOLDS, member)
  elseif redis.call('ZSCORE', DEADLINES, member) == false
      and redis.call('HEXISTS', EXPIRING, member) == 0 then
    deadline = tonumber(what)
  end
  if deadline then
    redis.call('ZADD', DEADLINES, text(deadline), member)
    redis.call('HSET', TTLS, member, ttl)
    words[#words + 1] = member
    words[#words + 1] = text(deadline)
  end
end
local seq = 0
if is_newest then seq = tell('P', words, document)
elseif #words > 1 then table.remove(words, 1); seq = tell('B', words) end
return seq
"""
)

# Takes the members that are overdue; a heartbeat that comes later is refused.
_TAKE_OVERDUE = (
    _PROLOGUE
    + """
local taken = {}
for _, member in ipairs(ARGV) do
  local score = redis.call('ZSCORE', DEADLINES, member)
  if score then
    local ttl = redis.call('HGET', TTLS, member)
    redis.call('HDEL', HOLDS, member)
    if until_when(member, tonumber(score), tonumber(ttl)) <= now then
      redis.call('ZREM', DEADLINES, member)
      redis.call('HDEL', TTLS, member)
      redis.call('HSET', EXPIRING, member, text(tonumber(score) - tonumber(ttl)))
      taken[#taken + 1] = member
    end
  end
end
if #taken > 0 then tell('X', {unpack(taken)}) end
return taken
"""
)

# ARGV: pairs member, kept until ('0' ends it).
_HOLD = (
    _PROLOGUE
    + """
local words = {}
for position = 1, #ARGV, 2 do
  local member, hold = ARGV[position], ARGV[position + 1]
  if hold == '0' then redis.call('HDEL', HOLDS, member) else redis.call('HSET', HOLDS, member, hold) end
  words[#words + 1] = member
  words[#words + 1] = hold
end
if #words > 0 then tell('H', words) end
return #words / 2
"""
)

# A web process says that it could receive heartbeats; ARGV: µs without a tick that count as away.
_TICK = (
    _PROLOGUE
    + """
local last = tonumber(redis.call('HGET', META, 'tick') or '0')
local away = now - last
redis.call('HSET', META, 'tick', text(now))
if away > tonumber(ARGV[1]) then
  redis.call('HSET', META, 'floor', text(now), 'away', text(away))
  tell('F', {text(now)})
end
return {text(now), redis.call('HGET', META, 'born') or '', redis.call('HGET', META, 'run_id') or ''}
"""
)

# After a refill: time starts anew for everybody.
_BEAR = (
    _PROLOGUE
    + """
redis.call('HSET', META, 'born', text(now), 'run_id', ARGV[1], 'floor', text(now), 'tick', text(now))
tell('F', {text(now)})
return text(now)
"""
)


@dataclass(frozen=True)
class Overdue:
    """What a sweep needs: ``due`` maps members to their effective deadline in µs."""

    now_us: int
    total: int
    due: dict[str, int]
    holds: dict[str, int]
    is_anyone_receiving: bool


class _Breaker:
    """Keeps requests fast while Redis is gone: three failures in a row open it for a while."""

    failures_to_open = 3
    open_seconds = 1.0

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._failures = 0
        self._open_until = 0.0

    @contextmanager
    def guard(self) -> Iterator[None]:
        if time.monotonic() < self._open_until:
            raise errors.RedisUnavailable("Redis is not available. Try again in a moment.")
        try:
            yield
        except redis_exceptions.ResponseError as exc:
            if "NOTREADY" in str(exc) or "LOADING" in str(exc):
                raise errors.RedisUnavailable("Redis lost its data and is being refilled.") from exc
            raise
        except (redis_exceptions.RedisError, OSError) as exc:
            self._failed()
            raise errors.RedisUnavailable("Redis is not available. Try again in a moment.") from exc
        else:
            self.close()

    def _failed(self) -> None:
        with self._lock:
            self._failures += 1
            if self._failures >= self.failures_to_open:
                self._open_until = time.monotonic() + self.open_seconds

    def close(self) -> None:
        if self._failures or self._open_until:
            with self._lock:
                self._failures, self._open_until = 0, 0.0


breaker = _Breaker()


def connection() -> Redis:
    """Return django-redis' client: pooled, with short timeouts."""
    client: Redis = get_redis_connection("default")
    return client


def follower_connection() -> Redis:
    """Return a client of its own for the change channel; a dead one is noticed within a second."""
    client: Redis = Redis.from_url(
        settings.REDIS_URL, socket_timeout=1.0, socket_connect_timeout=0.5, protocol=2, retry=None
    )
    return client


def member_of(service_name: str, instance_id: str) -> str:
    return f"{service_name}/{instance_id}"


def split_member(member: str) -> tuple[str, str]:
    service_name, _, instance_id = member.partition("/")
    return service_name, instance_id


def moment(microseconds: int) -> dt.datetime:
    """Return µs since 1970 as an exact UTC time."""
    return dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + dt.timedelta(microseconds=microseconds)


def microseconds(at: dt.datetime) -> int:
    return (at - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)) // dt.timedelta(microseconds=1)


_scripts: dict[str, Any] = {}


def _run(script: str, arguments: Sequence[Any]) -> Any:
    with breaker.guard():
        return _registered(script)(keys=_KEYS, args=arguments, client=connection())


def _registered(script: str) -> Any:
    registered = _scripts.get(script)
    if registered is None:
        registered = _scripts[script] = connection().register_script(script)
    return registered


# --- Beating --------------------------------------------------------------------------------------


def renew(members: Sequence[str]) -> list[int]:
    """Give each member that is alive its full TTL again; answers deadlines in µs, 0 for who is not.

    One round trip. Raises RedisUnavailable.
    """
    return [int(deadline) for deadline in _run(_RENEW, members)] if members else []


class AsyncRenewal:
    """The same from an event loop, over one connection of its own."""

    def __init__(self) -> None:
        self._client = AsyncRedis.from_url(
            settings.REDIS_URL,
            socket_timeout=RENEWAL_TIMEOUT_SECONDS,
            socket_connect_timeout=RENEWAL_TIMEOUT_SECONDS,
            protocol=2,
            retry=AsyncRetry(NoBackoff(), 0),  # who asks has waited long enough
            single_connection_client=True,
        )
        self._script = self._client.register_script(_RENEW)

    async def renew(self, members: Sequence[str]) -> list[int]:
        """Raises RedisUnavailable whatever goes wrong: somebody waits for an answer."""
        try:
            with breaker.guard():
                answer = await self._script(keys=_KEYS, args=members)
        except redis_exceptions.RedisError as exc:
            raise errors.RedisUnavailable("Redis is not available. Try again in a moment.") from exc
        return [int(deadline) for deadline in answer]

    async def close(self) -> None:
        await self._client.aclose()


@dataclass(frozen=True, slots=True)
class Change:
    """A service's document, to be written where none newer is there, and its members' presence, moved.

    ``renewed``: (instance id, TTL in seconds) that just spoke; ``known``: (instance id, TTL, deadline in µs)
    to be taken where Redis knows nothing of them.
    """

    name: str
    _: KW_ONLY
    revision: int
    document: dict[str, Any] | None
    renewed: Iterable[tuple[str, int]] = ()
    dropped: Iterable[str] = ()
    known: Iterable[tuple[str, int, int]] = ()

    def arguments(self) -> list[Any]:
        """Return what the script takes."""
        name = self.name
        document = orjson.dumps(self.document) if self.document else b""
        words: list[Any] = [name, self.revision, document]
        for instance_id, ttl in self.renewed:
            words += [member_of(name, instance_id), ttl * 1_000_000, "renew"]
        for instance_id in self.dropped:
            words += [member_of(name, instance_id), 0, "drop"]
        for instance_id, ttl, deadline in self.known:
            words += [member_of(name, instance_id), ttl * 1_000_000, deadline]
        return words


def put(name: str, **change: Any) -> int:
    """Write one Change; returns its sequence number, 0 for none."""
    return int(_run(_PUT, Change(name, **change).arguments()))


def put_all(changes: Sequence[Change]) -> int:
    """Write many in one round trip; returns the last sequence number."""
    if not changes:
        return 0
    with breaker.guard():
        pipeline = connection().pipeline(transaction=False)
        for change in changes:
            _registered(_PUT)(keys=_KEYS, args=change.arguments(), client=pipeline)
        return max(int(sequence) for sequence in pipeline.execute())


# --- Reading --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Found:
    """A service as Redis holds it: its document, and for each instance deadline and hold, in µs."""

    document: dict[str, Any]
    scores: dict[str, int]
    holds: dict[str, int]
    floor_us: int


def read(name: str) -> Found | None:
    """Return a service from Redis, in two round trips; raises RedisUnavailable."""
    with breaker.guard():
        client = connection()
        pipeline = client.pipeline(transaction=False)
        pipeline.hget(SERVICES, name)
        pipeline.hmget(META, "floor", "born")
        raw, (floor_us, born) = pipeline.execute()
        if born is None:
            raise errors.RedisUnavailable("Redis lost its data and is being refilled.")
        if raw is None:
            return None
        document: dict[str, Any] = orjson.loads(raw)
        scores, holds = _lives_of(client, document)
    return Found(document=document, scores=scores, holds=holds, floor_us=int(floor_us or 0))


def _lives_of(client: Redis, document: dict[str, Any]) -> tuple[dict[str, int], dict[str, int]]:
    instance_ids = [instance["instance_id"] for instance in document["instances"]]
    if not instance_ids:
        return {}, {}
    members = [member_of(document["name"], instance_id) for instance_id in instance_ids]
    pipeline = client.pipeline(transaction=False)
    pipeline.zmscore(DEADLINES, members)
    pipeline.hmget(HOLDS, members)
    scores, holds = pipeline.execute()
    return _known_of(instance_ids, scores), _known_of(instance_ids, holds)


def _known_of(instance_ids: list[str], numbers: list[Any]) -> dict[str, int]:
    pairs = zip(instance_ids, numbers, strict=True)
    return {instance_id: int(number) for instance_id, number in pairs if number is not None}


def snapshot() -> tuple[Iterator[bytes], dict[str, int], dict[str, int], int]:
    """Return all documents (read as they are taken), deadlines, holds and the floor.

    Raises RedisUnavailable, also while documents are taken; one may come twice. Changes that happen
    meanwhile may be in it or not: a follower applies them (again) from the channel.
    """
    with breaker.guard():
        client = connection()
        floor_us, born = client.hmget(META, "floor", "born")
        if born is None:
            raise errors.RedisUnavailable("Redis lost its data and is being refilled.")
        scores = {
            member.decode(): int(score)
            for member, score in client.zscan_iter(DEADLINES, count=1000)
        }
        holds = _numbers(client.hgetall(HOLDS))
    return _documents(client), scores, holds, int(floor_us or 0)


def _documents(client: Redis) -> Iterator[bytes]:
    with breaker.guard():
        for _, raw in client.hscan_iter(SERVICES, count=1000):
            yield raw


def _numbers(raw: Mapping[Any, Any]) -> dict[str, int]:
    return {member.decode(): int(number) for member, number in raw.items()}


def sequence() -> int:
    """Return the number of the last change."""
    with breaker.guard():
        return int(connection().hget(META, "seq") or 0)


def last_heartbeat(service_name: str, instance_id: str) -> dt.datetime | None:
    """Return when a live instance was last heard of; None for one that is not there."""
    member = member_of(service_name, instance_id)
    with breaker.guard():
        pipeline = connection().pipeline(transaction=False)
        pipeline.zscore(DEADLINES, member)
        pipeline.hget(TTLS, member)
        score, ttl = pipeline.execute()
    return None if score is None or ttl is None else moment(int(score) - int(ttl))


def heartbeats() -> dict[str, int]:
    """Return the last heartbeat in µs of every member that is there."""
    with breaker.guard():
        pipeline = connection().pipeline(transaction=False)
        pipeline.zrange(DEADLINES, 0, -1, withscores=True)
        pipeline.hgetall(TTLS)
        scores, ttls = pipeline.execute()
    return {
        member.decode(): int(score) - int(ttls[member])
        for member, score in scores
        if member in ttls
    }


# --- Sweeping -------------------------------------------------------------------------------------


def overdue(*, within_seconds: float) -> Overdue:
    """Return who is past the deadline, or will be within the given time."""
    with breaker.guard():
        client = connection()
        seconds, rest = client.time()
        now_us = seconds * 1_000_000 + rest
        horizon = now_us + int(within_seconds * 1_000_000)
        pipeline = client.pipeline(transaction=False)
        pipeline.zrangebyscore(DEADLINES, "-inf", horizon, withscores=True)
        pipeline.zcard(DEADLINES)
        pipeline.hgetall(HOLDS)
        pipeline.hmget(META, "floor", "tick", "born")
        scores, total, holds, (floor, tick, born) = pipeline.execute()
        members = [member for member, _ in scores]
        ttls = client.hmget(TTLS, members) if members else []
    due = {
        member.decode(): max(int(score), int(floor or 0) + int(ttl or 0))
        for (member, score), ttl in zip(scores, ttls, strict=True)
    }
    return Overdue(
        now_us=now_us,
        total=total,
        due={member: deadline for member, deadline in due.items() if deadline <= horizon},
        holds=_numbers(holds),
        is_anyone_receiving=born is not None
        and tick is not None
        and now_us - int(tick) < AWAY_SECONDS * 1_000_000,
    )


def take_overdue(members: Sequence[str]) -> list[str]:
    """Take the members that are (still) overdue out of presence; they wait in ``expiring``."""
    taken: list[str] = []
    for start in range(0, len(members), 1000):
        answer = _run(_TAKE_OVERDUE, members[start : start + 1000])
        taken.extend(member.decode() for member in answer)
    return taken


def expiring() -> dict[str, int]:
    """Return what sweeps took and PostgreSQL may not know yet: member → last heartbeat in µs."""
    with breaker.guard():
        return _numbers(connection().hgetall(EXPIRING))


def forget_expiring(members: Sequence[str]) -> None:
    if members:
        with breaker.guard():
            connection().hdel(EXPIRING, *members)


def hold(members: dict[str, int]) -> None:
    """Keep suspects listed until the given times (µs); 0 ends it."""
    pairs = [word for pair in members.items() for word in pair]
    for start in range(0, len(pairs), 1000):
        _run(_HOLD, pairs[start : start + 1000])


# --- Beginning, and beginning again ---------------------------------------------------------------


@dataclass(frozen=True)
class Tick:
    """``born_us``: when Redis was filled last, by whichever process; 0 where it is empty."""

    now_us: int
    born_us: int
    run_id: str

    @property
    def is_born(self) -> bool:
        return self.born_us != 0


def tick() -> Tick:
    """Say that heartbeats can be received now; a gap moves the floor for everybody."""
    now_us, born, run_id = _run(_TICK, [int(AWAY_SECONDS * 1_000_000)])
    return Tick(now_us=int(now_us), born_us=int(born or 0), run_id=run_id.decode())


def bear() -> None:
    """Mark Redis as filled; everybody gets one full TTL from now."""
    _run(_BEAR, [run_id()])


def run_id() -> str:
    """Return the identity of the Redis process: another one may have lost its last second."""
    with breaker.guard():
        return str(connection().info("server")["run_id"])


def ensure_filled(refill: Callable[[], int]) -> None:
    """Call ``refill`` where Redis is empty, or another process than the one that was filled last.

    One caller at a time; the others find it filled, or try again.
    """
    state = tick()
    if state.is_born and state.run_id == run_id():
        return
    with _refilling() as is_mine:
        if not is_mine:
            raise errors.RedisUnavailable("Redis is being refilled.")
        count = refill()
        bear()
        logger.warning("presence refilled", extra={"services": count})


@contextmanager
def _refilling() -> Iterator[bool]:
    """Let one process refill at a time; yields whether it is this one."""
    with breaker.guard():
        lock = connection().lock("saga:refilling", timeout=30, blocking=False)
        is_mine = lock.acquire()
    try:
        yield is_mine
    finally:
        if is_mine:
            try:
                lock.release()
            except redis_exceptions.RedisError:
                logger.warning("refill lock was lost")


def floor() -> tuple[int, int]:
    """Return the floor and Redis' time, in µs."""
    with breaker.guard():
        client = connection()
        seconds, rest = client.time()
        return int(client.hget(META, "floor") or 0), seconds * 1_000_000 + rest


def ring_doorbell() -> None:
    """Wake those who wait for events; who misses it looks again a second later."""
    try:
        with breaker.guard():
            connection().publish(DOORBELL_CHANNEL, b"1")
    except errors.RedisUnavailable:
        logger.debug("doorbell not rung")
