-- Mark nodes dirty; say for which of them a message should be put. Repeated it says the same.
-- KEYS: dirty, waiting
-- ARGV: epoch seconds, prefix of lock, node names
-- Result: names of nodes without a message (it will lead to a run) and without a lock (its holder will see the mark)
local names = {}
for i = 3, #ARGV do
  redis.call('ZADD', KEYS[1], 'NX', ARGV[1], ARGV[i])
  if redis.call('HEXISTS', KEYS[2], ARGV[i]) == 0 and redis.call('EXISTS', ARGV[2] .. ARGV[i]) == 0 then
    names[#names + 1] = ARGV[i]
  end
end
return names
