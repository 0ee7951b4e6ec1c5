-- Take the oldest requests for instances. Only an emptied queue takes the loading flag down: until then the taker
-- comes back for the rest, and further messages would only split the batches.
-- KEYS: wanted, wanted-by, loading
-- ARGV: limit, lifetime of the loading flag in ms
-- Result: instance id, node name, instance id, node name, ...
local taken = {}
for _, instance in ipairs(redis.call('ZRANGE', KEYS[1], 0, tonumber(ARGV[1]) - 1)) do
  local node = redis.call('HGET', KEYS[2], instance)
  redis.call('ZREM', KEYS[1], instance)
  redis.call('HDEL', KEYS[2], instance)
  if node then
    taken[#taken + 1] = instance
    taken[#taken + 1] = node
  end
end
if redis.call('ZCARD', KEYS[1]) == 0 then
  redis.call('DEL', KEYS[3])
else
  redis.call('SET', KEYS[3], '1', 'PX', ARGV[2])
end
return taken
