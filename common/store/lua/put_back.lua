-- Put a message that a worker took and did not finish back into its queue, unless its run has begun: it is spent then.
-- It comes back under another id, so that the one in the hands of a worker that only seemed dead is spent.
-- KEYS: waiting, queue
-- ARGV: subject, id of the message, its new id, message with that id, end of the queue (LPUSH or RPUSH)
-- Result: 1 put back, 0 spent
-- A first write that needs no memory: a full Redis refuses the others no more, and the message was in memory before.
redis.call('HDEL', KEYS[1], '')
if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then
  return 0
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
redis.call(ARGV[5], KEYS[2], ARGV[4])
return 1
