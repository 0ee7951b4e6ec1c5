-- Nodes dirty for too long, with neither a message nor a run. Handed out once each `older than`.
-- KEYS: dirty, waiting
-- ARGV: epoch seconds now, epoch seconds of the youngest mark that counts, limit, prefix of lock
-- Result: node names
local names = {}
for _, name in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[2], 'LIMIT', 0, ARGV[3])) do
  if redis.call('EXISTS', ARGV[4] .. name) == 0 and redis.call('HEXISTS', KEYS[2], name) == 0 then
    names[#names + 1] = name
  end
  -- Also those passed over, so that a crowd of them does not hide the others behind the limit.
  redis.call('ZADD', KEYS[1], ARGV[1], name)
end
return names
