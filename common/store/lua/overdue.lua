-- Nodes dirty for too long, with neither a message under way nor a run. Handed out once each `older than`.
-- KEYS: dirty
-- ARGV: epoch seconds now, epoch seconds of the youngest mark that counts, limit, prefix of pending, prefix of lock
-- Result: node names
local names = {}
for _, name in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[2], 'LIMIT', 0, ARGV[3])) do
  if redis.call('EXISTS', ARGV[5] .. name) == 0 then
    if redis.call('EXISTS', ARGV[4] .. name) == 0 then
      names[#names + 1] = name
    end
  end
  -- Also those passed over, so that a crowd of them does not hide the others behind the limit.
  redis.call('ZADD', KEYS[1], ARGV[1], name)
end
return names
