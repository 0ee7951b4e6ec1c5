-- Nodes whose time has come, and nodes whose run was abandoned (begun, not released, lock expired or its holder dead).
-- They are marked dirty in the same step, so that a crash before the message is sent loses nothing. Those of a dead
-- holder are handed out until a message waits: it may come back, and go on. After life.lua.
-- Nodes whose time has come are handed out as workers take them: what waits in the queue counts against the limit, so
-- that a thousand of them do not stand before a node that changes next; some each time at least, where that is wanted.
-- KEYS: parked, dirty, running, waiting, heartbeats, heard, queue
-- ARGV: epoch seconds now, limit, prefix of lock, lifetime of a heartbeat in ms, at least so many,
--   prefix of `woken`, its lifetime in ms
-- Result: node names
local names = {}
local function hand_out(name)
  names[#names + 1] = name
  return redis.call('ZADD', KEYS[2], 'NX', ARGV[1], name) == 1
end
for _, name in ipairs(redis.call('SMEMBERS', KEYS[3])) do
  local held = redis.call('GET', ARGV[3] .. name)
  if not held then
    redis.call('SREM', KEYS[3], name)
    hand_out(name)
  elseif is_void(held, KEYS[5], KEYS[6], tonumber(ARGV[4])) and redis.call('HEXISTS', KEYS[4], name) == 0 then
    hand_out(name)
  end
end
local limit = math.max(tonumber(ARGV[5]), tonumber(ARGV[2]) - redis.call('LLEN', KEYS[7]))
for _, name in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[1], 'LIMIT', 0, limit)) do
  redis.call('ZREM', KEYS[1], name)
  local marked, lock = hand_out(name), redis.call('GET', ARGV[3] .. name)
  if marked and not is_void(lock, KEYS[5], KEYS[6], tonumber(ARGV[4])) then
    wake_holder(ARGV[6], lock, name, ARGV[1], ARGV[7])
  end
end
return names
