-- A message was lost: another may be put for its subject. Where it stands among those that workers have taken, it goes:
-- whoever holds it finds it spent.
-- KEYS: waiting, unacked, index
-- ARGV: subject, id of the message, delivery tag ("" none)
-- Result: 1 forgotten, 0 it has begun
if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then
  return 0
end
redis.call('HDEL', KEYS[1], ARGV[1])
redis.call('HDEL', KEYS[2], ARGV[3])
redis.call('ZREM', KEYS[3], ARGV[3])
return 1
