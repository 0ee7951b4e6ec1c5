-- Write or remove a node's view and keep the index of nodes with wishes.
-- KEYS: view, pods, wished
-- ARGV: node name, msgpack of the view ("" removes it)
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
return 1
