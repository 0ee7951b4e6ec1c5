-- A call got through: the outage is over, and the nodes that wait for it are looked at now. After outage.lua.
-- KEYS: outages, outage, waiting, parked
-- ARGV: scope, epoch seconds at which the call began, epoch seconds now
-- Result: 1 where it was confirmed and is over now; 0 where there was none, or the call began before it
local since = redis.call('ZSCORE', KEYS[1], ARGV[1])
if not since or tonumber(ARGV[2]) < tonumber(since) then
  return 0
end
local confirmed = redis.call('HGET', KEYS[2], 'confirmed') == '1'
redis.call('HSET', KEYS[2], 'worked_at', ARGV[3])
forget(KEYS[1], ARGV[1], KEYS[2], KEYS[3], KEYS[4], ARGV[3])
return confirmed and 1 or 0
