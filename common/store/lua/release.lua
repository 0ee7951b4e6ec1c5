-- End a run: give up the lock, and say in the same step whether the node became dirty meanwhile. Repeated it says the
-- same.
-- KEYS: lock, running, dirty, waiting
-- ARGV: node name, owner and token, or the owner and a space where the token's answer was lost
-- Result: 1 put a message; 0 clean, or somebody else will look (holds the lock, or a message waits)
local held = redis.call('GET', KEYS[1])
if held and string.sub(held, 1, #ARGV[2]) ~= ARGV[2] then
  return 0
end
redis.call('DEL', KEYS[1])
redis.call('SREM', KEYS[2], ARGV[1])
if redis.call('ZSCORE', KEYS[3], ARGV[1]) and redis.call('HEXISTS', KEYS[4], ARGV[1]) == 0 then
  return 1
end
return 0
