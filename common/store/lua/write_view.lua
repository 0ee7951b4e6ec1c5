-- Write or remove a node's view and keep the indexes: nodes with desired state, and node names by instance.
-- KEYS: view, pods, nodes with desired state, ledger, instances
-- ARGV: node name, msgpack of the view ("" removes it), id of the instance that its Node object names ("" none),
--   prefix of the sets of node names by instance
-- Result: 1
if ARGV[2] == '' then
  redis.call('DEL', KEYS[1])
else
  redis.call('SET', KEYS[1], ARGV[2])
end
if redis.call('EXISTS', KEYS[1], KEYS[2]) > 0 then
  redis.call('SADD', KEYS[3], ARGV[1])
else
  redis.call('SREM', KEYS[3], ARGV[1])
end
-- A Node object that went leaves its instance to its ledger, until that has ended.
if ARGV[3] == '' and redis.call('EXISTS', KEYS[4]) == 1 then
  return 1
end
local before = redis.call('HGET', KEYS[5], ARGV[1])
if before and before ~= ARGV[3] then
  redis.call('SREM', ARGV[4] .. before, ARGV[1])
  redis.call('HDEL', KEYS[5], ARGV[1])
end
if ARGV[3] ~= '' then
  redis.call('HSET', KEYS[5], ARGV[1], ARGV[3])
  redis.call('SADD', ARGV[4] .. ARGV[3], ARGV[1])
end
return 1
