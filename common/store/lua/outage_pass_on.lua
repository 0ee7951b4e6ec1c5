-- Whose turn it is to ask gives it back, or did not come: another asks. Where nobody got an answer for long, the outage is
-- forgotten. After outage.lua.
-- KEYS: outages, outage, waiting, parked
-- ARGV: scope, node that gives it back ("": whoever did not come), epoch seconds now, when to ask, seconds after which
--       one did not come, seconds after which it is forgotten
-- Result: 1 where another asks
local state = redis.call('HMGET', KEYS[2], 'asker', 'ask_at', 'asking', 'failed_at')
if not redis.call('ZSCORE', KEYS[1], ARGV[1]) then
  return 0
end
if ARGV[2] ~= '' then
  if state[3] ~= ARGV[2] then
    return 0
  end
elseif tonumber(state[2] or 0) + tonumber(ARGV[5]) > tonumber(ARGV[3]) then
  return 0
elseif state[1] then
  redis.call('ZADD', KEYS[3], 'XX', ARGV[3], state[1])
end
local silent = tonumber(ARGV[3]) - tonumber(state[4] or 0)
if silent < tonumber(ARGV[6]) and next_asks(KEYS[2], KEYS[3], KEYS[4], ARGV[4], ARGV[3], tonumber(ARGV[4])) then
  return 1
end
forget(KEYS[1], ARGV[1], KEYS[2], KEYS[3], KEYS[4], ARGV[3])
return 0
