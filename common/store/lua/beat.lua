-- A process is alive. After life.lua.
-- KEYS: heartbeats, heard
-- ARGV: incarnation, lifetime of a heartbeat in ms, after how many ms an incarnation is forgotten
-- Result: 1
local now = milliseconds_now()
-- A first write that needs no memory: a full Redis refuses the others no more.
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now - tonumber(ARGV[3])))
redis.call('ZADD', KEYS[1], string.format('%.0f', now), ARGV[1])
redis.call('SET', KEYS[2], redis.call('GET', KEYS[2]) or string.format('%.0f', now), 'PX', ARGV[2])
return 1
