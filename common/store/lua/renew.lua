-- Prolong a lock that is still ours.
-- KEYS: lock
-- ARGV: owner and token, lifetime in ms
-- Result: 1 prolonged, 0 not ours
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return 0
end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])
