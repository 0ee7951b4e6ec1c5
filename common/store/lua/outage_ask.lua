-- May this call be made, though its scopes are known to fail? For all of them or none.
-- KEYS: outages, parked, then for each scope: outage, waiting, failed
-- ARGV: node, who asks, epoch seconds now, seconds in which an answer is awaited, seconds between two who ask and have
--       not failed before, lifetime in ms, then the scopes
-- Result: the number of the scope that holds it, from 1; 0: it may
local node, who, now, apart = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[5])
local asked = {}
for number = 1, #ARGV - 6 do
  local outage, waiting, failed = KEYS[number * 3], KEYS[number * 3 + 1], KEYS[number * 3 + 2]
  local state = redis.call('HMGET', outage, 'confirmed', 'asker', 'ask_at', 'asking', 'asked_at', 'fresh')
  if state[1] == '1' and redis.call('ZSCORE', KEYS[1], ARGV[number + 6]) then
    -- A node is as its pods, but for what is denied: where it alone is silent, each would go before those of others.
    local newcomer = not redis.call('ZSCORE', failed, who) and not redis.call('ZSCORE', failed, 'node/' .. node)
    local awaited = state[4] ~= '' and tonumber(state[3]) > now
    -- For whomever the node asks: as `outage_waits` says, else its run would begin the same call again and again.
    local its_own = state[2] == node and tonumber(state[3]) <= now
    local soon = tonumber(state[5] or 0) + apart
    -- A newcomer does not wait for an answer that may never come: what is silent for one may answer the other.
    if (awaited or not its_own) and not (newcomer and soon <= now) then
      redis.call('ZADD', waiting, 'NX', now, node)
      if newcomer then
        redis.call('ZADD', waiting, 0, node)
      end
      if newcomer and state[6] ~= '1' then
        local at = string.format('%.3f', soon)
        redis.call('HSET', outage, 'asker', node, 'ask_at', at, 'asking', '', 'fresh', 1)
        redis.call('ZADD', KEYS[2], 'LT', at, node)
      end
      redis.call('PEXPIRE', waiting, ARGV[6])
      return number
    end
    asked[#asked + 1] = outage
  end
end
for _, outage in ipairs(asked) do
  redis.call('HSET', outage, 'asker', node, 'asking', node, 'ask_at', now + tonumber(ARGV[4]), 'asked_at', now, 'fresh', 0)
end
return 0
