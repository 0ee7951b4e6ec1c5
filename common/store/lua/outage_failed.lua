-- A call failed in a way that may be the same for all. After outage.lua.
-- KEYS: outages, outage (hash: `code`, `message` of the last failure, `failed_at` its time, `since` of the first, `who` failed first,
--       `confirmed` 1: another failed, too, `tries` answers to those who asked since, `ask_at`, `asker`, `asking` the
--       node whose answer is awaited until `ask_at`, `worked_at` the last end of an outage),
--       waiting, failed, parked
-- ARGV: scope, node, who failed, code, message, epoch seconds now, first interval, longest interval, lifetime in ms,
--       seconds for which it counts that others got through, 1: it may fail for others on the node, too
-- Result: 1 where it is the same for all as far as is known, 0 where others got through since it failed for this one;
--         1 where it is confirmed just now
local scope, node, who, now = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[6])
local before = tonumber(redis.call('ZSCORE', KEYS[4], who) or 0)
local state = redis.call('HMGET', KEYS[2], 'worked_at', 'who', 'confirmed', 'asker', 'ask_at', 'asking', 'tries')
local worked = tonumber(state[1] or 0)
if before > 0 and worked > before and now - worked < tonumber(ARGV[10]) and state[6] ~= node then
  return {0, 0}
end
redis.call('ZADD', KEYS[4], now, who)
if ARGV[11] == '1' then
  redis.call('ZADD', KEYS[4], now, 'node/' .. node)
end
redis.call('PEXPIRE', KEYS[4], ARGV[9])
local known = redis.call('ZADD', KEYS[1], 'NX', now, scope) == 0
local confirmed, tries = state[3] == '1', tonumber(state[7] or 0)
if not known then
  confirmed, tries = false, 0
  redis.call('HSET', KEYS[2], 'since', now, 'who', who, 'asking', '')
end
local newly = known and not confirmed and state[2] ~= who
redis.call('HSET', KEYS[2], 'code', ARGV[4], 'message', ARGV[5], 'failed_at', now, 'confirmed', (confirmed or newly) and 1 or 0)
redis.call('ZADD', KEYS[3], now, node)
if not known or state[6] == node or (state[4] == node and tonumber(state[5]) <= now) then
  redis.call('HSET', KEYS[2], 'tries', tries + 1)
  local interval = math.min(tonumber(ARGV[8]), tonumber(ARGV[7]) * 2 ^ math.min(tries, 16))
  next_asks(KEYS[2], KEYS[3], KEYS[5], now + interval, now, now + tonumber(ARGV[7]))
end
redis.call('PEXPIRE', KEYS[2], ARGV[9])
redis.call('PEXPIRE', KEYS[3], ARGV[9])
return {1, newly and 1 or 0}
