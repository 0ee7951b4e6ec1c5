-- Note that a queue is bound to an exchange (kombu's bindings), also in a full Redis: the worker that comes to drain it
-- could not begin otherwise.
-- KEYS: bindings, permanent bindings
-- ARGV: binding
-- Result: 1
-- A first write that needs no memory: a full Redis refuses the others no more.
redis.call('SREM', KEYS[1], '')
redis.call('SADD', KEYS[1], ARGV[1])
redis.call('SADD', KEYS[2], ARGV[1])
return 1
