-- Mark nodes dirty; say for which of them a message should be put. Repeated it says the same.
-- After life.lua.
-- KEYS: dirty, waiting, heartbeats, heard
-- ARGV: epoch seconds, prefix of lock, lifetime of a heartbeat in ms, node names
-- Result: names of nodes without a message (it will lead to a run) and without a lock (its holder will see the mark)
local names = {}
for i = 4, #ARGV do
  redis.call('ZADD', KEYS[1], 'NX', ARGV[1], ARGV[i])
  if redis.call('HEXISTS', KEYS[2], ARGV[i]) == 0
    and is_void(redis.call('GET', ARGV[2] .. ARGV[i]), KEYS[3], KEYS[4], tonumber(ARGV[3])) then
    names[#names + 1] = ARGV[i]
  end
end
return names
