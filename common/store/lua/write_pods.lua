-- Add, replace and remove pods of a node in one step and keep the index of nodes with desired state.
-- KEYS: view, pods, nodes with desired state
-- ARGV: node name, number of pods to write, then uid and msgpack of each, then uids to remove
-- Result: 1
local last = 2 + 2 * tonumber(ARGV[2])
for i = 3, last, 2 do
  redis.call('HSET', KEYS[2], ARGV[i], ARGV[i + 1])
end
for i = last + 1, #ARGV do
  redis.call('HDEL', KEYS[2], ARGV[i])
end
if redis.call('EXISTS', KEYS[1], KEYS[2]) > 0 then
  redis.call('SADD', KEYS[3], ARGV[1])
else
  redis.call('SREM', KEYS[3], ARGV[1])
end
return 1
