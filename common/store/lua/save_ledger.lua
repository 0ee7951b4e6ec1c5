-- Write or delete a node's ledger, if the writer holds the node's lock now. With the last of view and ledger the node's
-- place in the index of node names by instance goes.
-- KEYS: lock, ledger, ledgers, view, instances
-- ARGV: node name, owner and token, msgpack of the ledger ("" deletes it), prefix of the sets of node names by instance
-- Result: 1 written, 0 the lock is not the writer's
if redis.call('GET', KEYS[1]) ~= ARGV[2] then
  return 0
end
if ARGV[3] == '' then
  redis.call('DEL', KEYS[2])
  redis.call('SREM', KEYS[3], ARGV[1])
  local before = redis.call('HGET', KEYS[5], ARGV[1])
  if before and redis.call('EXISTS', KEYS[4]) == 0 then
    redis.call('SREM', ARGV[4] .. before, ARGV[1])
    redis.call('HDEL', KEYS[5], ARGV[1])
  end
else
  redis.call('SET', KEYS[2], ARGV[3])
  redis.call('SADD', KEYS[3], ARGV[1])
end
return 1
