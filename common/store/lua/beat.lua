-- A process is alive. After life.lua.
-- KEYS: heartbeats, heard
-- ARGV: incarnation, lifetime of a heartbeat in ms, after how many ms an incarnation is forgotten
-- Result: 1
local now = milliseconds_now()
-- A first write that needs no memory: a full Redis refuses the others no more.
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now - tonumber(ARGV[3])))
local text = string.format('%.0f', now)
-- Redis' clock went back: heartbeats of its future would keep the dead alive until it comes. The living send theirs again.
for _, ahead in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. text, '+inf')) do
  redis.call('ZADD', KEYS[1], text, ahead)
end
redis.call('ZADD', KEYS[1], text, ARGV[1])
local since = redis.call('GET', KEYS[2])
redis.call('SET', KEYS[2], since and tonumber(since) <= now and since or text, 'PX', ARGV[2])
return 1
