-- Mark nodes dirty; say for which of them a message should be put. Repeated it says the same.
-- After life.lua.
-- KEYS: dirty, waiting, heartbeats, heard
-- ARGV: epoch seconds, prefix of lock, lifetime of a heartbeat in ms, prefix of `woken`, its lifetime in ms, node names
-- Result: names of nodes without a message (it will lead to a run) and without a lock (its holder will see the mark)
local names = {}
for i = 6, #ARGV do
  local marked = redis.call('ZADD', KEYS[1], 'NX', ARGV[1], ARGV[i])
  local lock = redis.call('GET', ARGV[2] .. ARGV[i])
  if is_void(lock, KEYS[3], KEYS[4], tonumber(ARGV[3])) then
    if redis.call('HEXISTS', KEYS[2], ARGV[i]) == 0 then
      names[#names + 1] = ARGV[i]
    end
  elseif marked == 1 then
    wake_holder(ARGV[4], lock, ARGV[i], ARGV[1], ARGV[5])
  end
end
return names
