-- Note that a worker has taken a message (kombu's `unacked`), also in a full Redis: what was taken off the queue made
-- room for it, and a message that is noted nowhere would be lost with its worker.
-- KEYS: index, unacked
-- ARGV: delivery tag, epoch seconds, message with exchange and routing key
-- Result: 1
-- A first write that needs no memory: a full Redis refuses the others no more.
redis.call('ZREM', KEYS[1], ARGV[1])
redis.call('ZADD', KEYS[1], ARGV[2], ARGV[1])
redis.call('HSET', KEYS[2], ARGV[1], ARGV[3])
return 1
