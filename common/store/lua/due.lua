-- Nodes whose time has come, and nodes whose run was abandoned (begun, not released, lock expired): off their lists and
-- marked dirty in one step, so that a crash before the message is sent loses nothing.
-- KEYS: parked, dirty, running
-- ARGV: epoch seconds now, limit, prefix of lock
-- Result: node names
local names = {}
for _, name in ipairs(redis.call('SMEMBERS', KEYS[3])) do
  if redis.call('EXISTS', ARGV[3] .. name) == 0 then
    redis.call('SREM', KEYS[3], name)
    redis.call('ZADD', KEYS[2], 'NX', ARGV[1], name)
    names[#names + 1] = name
  end
end
for _, name in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[1], 'LIMIT', 0, ARGV[2])) do
  redis.call('ZREM', KEYS[1], name)
  redis.call('ZADD', KEYS[2], 'NX', ARGV[1], name)
  names[#names + 1] = name
end
return names
