-- Ask for an instance to be loaded; say whether a load_instances message must be published.
-- KEYS: wanted, wanted-by, loading
-- ARGV: instance id, node name, epoch seconds, lifetime of the loading flag in ms, of the queue in ms
-- Result: 1 publish, 0 a message is under way
redis.call('ZADD', KEYS[1], 'NX', ARGV[3], ARGV[1])
redis.call('HSET', KEYS[2], ARGV[1], ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[5])
redis.call('PEXPIRE', KEYS[2], ARGV[5])
if redis.call('SET', KEYS[3], '1', 'NX', 'PX', ARGV[4]) then
  return 1
end
return 0
