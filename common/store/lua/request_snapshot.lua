-- Ask for an instance to be loaded; say whether a load_instances message should be put. Repeated it says the same.
-- KEYS: wanted, wanted-by, loading, waiting
-- ARGV: instance id, node name, epoch seconds, lifetime of the queue in ms, subject of the message
-- Result: 1 put a message, 0 one waits, or a task is at it and comes back for the rest
redis.call('ZADD', KEYS[1], 'NX', ARGV[3], ARGV[1])
redis.call('HSET', KEYS[2], ARGV[1], ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[4])
redis.call('PEXPIRE', KEYS[2], ARGV[4])
if redis.call('EXISTS', KEYS[3]) == 1 or redis.call('HEXISTS', KEYS[4], ARGV[5]) == 1 then
  return 0
end
return 1
