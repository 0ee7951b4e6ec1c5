-- Write or delete a node's ledger, if the writer holds the node's lock now.
-- KEYS: lock, ledger, ledgers
-- ARGV: node name, owner and token, msgpack of the ledger ("" deletes it)
-- Result: 1 written, 0 the lock is not the writer's
if redis.call('GET', KEYS[1]) ~= ARGV[2] then
  return 0
end
if ARGV[3] == '' then
  redis.call('DEL', KEYS[2])
  redis.call('SREM', KEYS[3], ARGV[1])
else
  redis.call('SET', KEYS[2], ARGV[3])
  redis.call('SADD', KEYS[3], ARGV[1])
end
return 1
