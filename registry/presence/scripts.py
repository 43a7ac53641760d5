"""The Lua scripts, each atomic in Redis; ``keys.ALL`` are the keys of every script."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from registry.presence import keys
from saga_project.shared import redis

AWAY_SECONDS = 3.0  # Without a tick for this long, no heartbeat could arrive.
#: A clock that is behind the last tick by more than this was set back.
SET_BACK_SECONDS = 1.0

_AWAY = f"local AWAY, SET_BACK = {AWAY_SECONDS * 1_000_000:.0f}, {SET_BACK_SECONDS * 1_000_000:.0f}"
_PROLOGUE = (
    _AWAY
    + """
local SERVICES, REVISIONS, DEADLINES, TTLS, HOLDS, EXPIRING, META, HEARTBEATS, CHANNEL = unpack(KEYS)
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local known = redis.call('HMGET', META, 'born', 'floor', 'told', 'tick')
local born, floor, published = known[1], tonumber(known[2] or '0'), tonumber(known[3] or '0')
local ticked = tonumber(known[4] or '0')
local function text(number) return string.format('%.0f', number) end
-- A key expires at a moment of Redis' clock, too: without this, a lock or a claim of a dead owner would last
-- for as long as the clock was set back.
local function keep_what_is_left_of_keys(by)
  local cursor, seen = '0', {}
  repeat
    local page = redis.call('SCAN', cursor, 'COUNT', 1000)
    cursor = page[1]
    for _, key in ipairs(page[2]) do
      local left = seen[key] and 0 or redis.call('PTTL', key)
      seen[key] = true  -- a scan may come by twice
      if left > 0 then redis.call('PEXPIRE', key, text(math.max(1, left - by / 1000))) end
    end
  until cursor == '0'
end
-- Times are kept on Redis' clock. Where it was set back they all move with it, and every web process
-- takes a new snapshot, since 'born' is another one.
local function set_back(by)
  keep_what_is_left_of_keys(by)
  local scores = redis.call('ZRANGE', DEADLINES, 0, -1, 'WITHSCORES')
  for position = 1, #scores, 2 do
    redis.call('ZADD', DEADLINES, text(tonumber(scores[position + 1]) - by), scores[position])
  end
  local holds = redis.call('HGETALL', HOLDS)
  for position = 1, #holds, 2 do
    redis.call('HSET', HOLDS, holds[position], text(tonumber(holds[position + 1]) - by))
  end
  floor, published, ticked, born = floor - by, now, now, text(now)
  redis.call('HSET', META, 'floor', text(floor), 'told', born, 'tick', born, 'born', born)
end
if born and now + SET_BACK < ticked then set_back(ticked - now) end
-- Commands that waited while Redis was frozen run before the next tick: the time without ticks is added here.
if ticked > 0 and now - ticked > AWAY then floor = math.max(floor, now) end
local function publish(kind, words)
  local seq = redis.call('HINCRBY', META, 'seq', 1)
  redis.call('PUBLISH', CHANNEL, kind .. ' ' .. text(seq) .. ' ' .. words)
  return seq
end
local function publish_all(kind, words) return publish(kind, table.concat(words, ' ')) end
local function publish_heartbeats()
  local heartbeats = redis.call('GET', HEARTBEATS)
  if heartbeats then
    redis.call('DEL', HEARTBEATS)
    publish('B', heartbeats)
  end
  redis.call('HSET', META, 'told', text(now))
end
local function until_when(member, score, ttl)
  local deadline = math.max(score, floor + ttl)
  local hold = redis.call('HGET', HOLDS, member)
  if hold then deadline = math.max(deadline, tonumber(hold)) end
  return deadline
end
"""
)

# ARGV: for how many µs heartbeats may wait to be published, then members. Renews each that is still alive;
# answers the time, whether heartbeats are waiting, and the positions (from 0) of those that are not alive.
RENEW = (
    _PROLOGUE
    + """
if not born then return redis.error_reply('NOTREADY refill first') end
local renewed, absent, deadlines = {}, {}, {}
for start = 2, #ARGV, 1000 do
  local members = {unpack(ARGV, start, math.min(start + 999, #ARGV))}
  local scores = redis.call('ZMSCORE', DEADLINES, unpack(members))
  local ttls = redis.call('HMGET', TTLS, unpack(members))
  local moved = {}
  for position, member in ipairs(members) do
    local score, ttl = tonumber(scores[position]), ttls[position]
    local is_alive = score and ttl and (score > now or floor + ttl > now
      or until_when(member, score, tonumber(ttl)) > now)
    if is_alive then
      local deadline = deadlines[ttl]
      if not deadline then
        deadline = text(now + ttl)
        deadlines[ttl] = deadline
      end
      moved[#moved + 1] = deadline
      moved[#moved + 1] = member
      renewed[#renewed + 1] = member
    else
      absent[#absent + 1] = start + position - 3
    end
  end
  if #moved > 0 then redis.call('ZADD', DEADLINES, unpack(moved)) end
end
local waiting = 0
if #renewed > 0 then
  waiting = redis.call('APPEND', HEARTBEATS, text(now) .. ' ' .. table.concat(renewed, ' ') .. ' ')
end
if now - published >= tonumber(ARGV[1]) then
  publish_heartbeats()
  waiting = 0
end
return {text(now), math.min(waiting, 1), absent}
"""
)

# ARGV: for each change: name, revision, document ('' for none), how many triples follow, and these:
# member, ttl, what: 'renew' (deadline now + ttl), 'drop', or how many µs are left, at most ttl, of a deadline
# that is taken where the member has none: times of other clocks mean nothing here. Answers the last
# sequence number, 0 where nothing was published.
PUT = (
    _PROLOGUE
    + """
local seq, position = 0, 1
while position < #ARGV do
  local name, revision, document, triples = unpack(ARGV, position, position + 3)
  position = position + 4
  local is_newest = tonumber(revision) >= tonumber(redis.call('HGET', REVISIONS, name) or '0')
  if is_newest then
    redis.call('HSET', REVISIONS, name, revision)
    if document == '' then redis.call('HDEL', SERVICES, name)
    else redis.call('HSET', SERVICES, name, document) end
  end
  local words = {}
  for _ = 1, triples do
    local member, ttl, what = unpack(ARGV, position, position + 2)
    position = position + 3
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
      deadline = now + math.min(tonumber(what), tonumber(ttl))
    end
    if deadline then
      redis.call('ZADD', DEADLINES, text(deadline), member)
      redis.call('HSET', TTLS, member, ttl)
      words[#words + 1] = member
      words[#words + 1] = text(deadline)
    end
  end
  if is_newest then
    table.insert(words, 1, name)
    seq = publish('P', table.concat(words, ' ') .. '\\n' .. document)
  elseif #words > 0 then
    seq = publish_all('D', words)
  end
end
return seq
"""
)

# Takes the members that are overdue; a heartbeat that comes later is refused.
TAKE_OVERDUE = (
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
if #taken > 0 then publish_all('X', taken) end
return taken
"""
)

# ARGV: pairs member, kept until ('0' ends it).
HOLD = (
    _PROLOGUE
    + """
local words = {}
for position = 1, #ARGV, 2 do
  local member, hold = ARGV[position], ARGV[position + 1]
  if hold == '0' then redis.call('HDEL', HOLDS, member) else redis.call('HSET', HOLDS, member, hold) end
  words[#words + 1] = member
  words[#words + 1] = hold
end
if #words > 0 then publish_all('H', words) end
return #words / 2
"""
)

# A web process reports that it can receive heartbeats.
TICK = (
    _PROLOGUE
    + """
local away = now - ticked
redis.call('HSET', META, 'tick', text(now))
if away > AWAY then
  redis.call('HSET', META, 'floor', text(now), 'away', text(away))
  publish_all('F', {text(now)})
end
publish_heartbeats()
return {text(now), born or '', redis.call('HGET', META, 'run_id') or ''}
"""
)

# After a refill the TTL of every instance starts again.
MARK_FILLED = (
    _PROLOGUE
    + """
redis.call('HSET', META, 'born', text(now), 'run_id', ARGV[1], 'floor', text(now), 'tick', text(now))
publish_all('F', {text(now)})
return text(now)
"""
)


def run(script: str, arguments: Sequence[Any]) -> Any:
    """Run one of these scripts; raises RedisUnavailable."""
    return redis.run(script, keys=keys.ALL, arguments=arguments)
