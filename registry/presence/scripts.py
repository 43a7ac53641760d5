"""What happens inside Redis, each in one step; ``keys.ALL`` are the keys of every script."""

from __future__ import annotations

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
RENEW = (
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
PUT = (
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
if #taken > 0 then tell('X', {unpack(taken)}) end
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
if #words > 0 then tell('H', words) end
return #words / 2
"""
)

# A web process says that it could receive heartbeats; ARGV: µs without a tick that count as away.
TICK = (
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
BEAR = (
    _PROLOGUE
    + """
redis.call('HSET', META, 'born', text(now), 'run_id', ARGV[1], 'floor', text(now), 'tick', text(now))
tell('F', {text(now)})
return text(now)
"""
)
