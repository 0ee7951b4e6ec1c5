-- Mark a node dirty; say whether a message must be published for it.
-- KEYS: dirty, pending, lock
-- ARGV: node name, epoch seconds, lifetime of the pending flag in ms
-- Result: 1 publish, 0 not (a message is under way, or the lock's holder will see the mark)
redis.call('ZADD', KEYS[1], 'NX', ARGV[2], ARGV[1])
if redis.call('EXISTS', KEYS[3]) == 1 then
  return 0
end
if redis.call('SET', KEYS[2], '1', 'NX', 'PX', ARGV[3]) then
  return 1
end
return 0
