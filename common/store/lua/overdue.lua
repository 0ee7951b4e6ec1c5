-- Nodes dirty for too long, with neither a message nor a run. Handed out once each `older than`.
-- After life.lua.
-- KEYS: dirty, waiting, heartbeats, heard
-- ARGV: epoch seconds now, epoch seconds of the youngest mark that counts, limit, prefix of lock, lifetime of a
--   heartbeat in ms
-- Result: node names
local names = {}
for _, name in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[2], 'LIMIT', 0, ARGV[3])) do
  if redis.call('HEXISTS', KEYS[2], name) == 0
    and is_void(redis.call('GET', ARGV[4] .. name), KEYS[3], KEYS[4], tonumber(ARGV[5])) then
    names[#names + 1] = name
  end
  -- Also those passed over, so that a crowd of them does not hide the others behind the limit.
  redis.call('ZADD', KEYS[1], ARGV[1], name)
end
return names
