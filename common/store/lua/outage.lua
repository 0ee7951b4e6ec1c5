-- What the scripts about outages share; put before them.
-- Who asks next about a scope that fails: the node that has waited longest since it last failed. One on which somebody
-- waits that has not failed comes first, and sooner: it asks for that one (`fresh`).
local function next_asks(outage, waiting, parked, at, now, soon)
  local chosen = redis.call('ZRANGE', waiting, 0, 0, 'WITHSCORES')
  local fresh = tonumber(chosen[2]) == 0
  chosen = chosen[1]
  if not chosen then
    return false
  end
  at = string.format('%.3f', fresh and math.min(tonumber(at), soon) or at)
  redis.call('HSET', outage, 'asker', chosen, 'ask_at', at, 'asking', '', 'fresh', fresh and 1 or 0)
  redis.call('ZADD', waiting, now, chosen)
  redis.call('ZADD', parked, 'LT', at, chosen)
  return true
end
-- The outage is over, and the nodes that wait for it are looked at.
local function forget(outages, scope, outage, waiting, parked, now)
  redis.call('ZREM', outages, scope)
  redis.call('HSET', outage, 'confirmed', 0, 'asker', '', 'asking', '', 'ask_at', 0)
  for _, node in ipairs(redis.call('ZRANGE', waiting, 0, -1)) do
    redis.call('ZADD', parked, 'LT', now, node)
  end
  redis.call('DEL', waiting)
end
