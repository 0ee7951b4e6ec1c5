-- Which of these scopes a node goes on waiting for; it is among those who wait from now on. Not for one that works, that
-- is the node's to ask about, or that failed for a single asker elsewhere.
-- KEYS: outages, then for each scope: outage, waiting
-- ARGV: node, epoch seconds now, lifetime in ms, then the scopes
-- Result: numbers of the scopes, from 1
local node, now = ARGV[1], tonumber(ARGV[2])
local held = {}
for number = 1, #ARGV - 3 do
  local outage, waiting = KEYS[number * 2], KEYS[number * 2 + 1]
  local state = redis.call('HMGET', outage, 'confirmed', 'asker', 'ask_at', 'asking')
  local its_own = state[2] == node and state[4] == '' and tonumber(state[3]) <= now
  if redis.call('ZSCORE', KEYS[1], ARGV[number + 3]) and not its_own
      and (state[1] == '1' or redis.call('ZSCORE', waiting, node)) then
    redis.call('ZADD', waiting, 'NX', now, node)
    redis.call('PEXPIRE', waiting, ARGV[3])
    held[#held + 1] = number
  end
end
return held
