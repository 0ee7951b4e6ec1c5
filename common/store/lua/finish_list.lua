-- Set the completeness mark, if Redis was not emptied and nobody began another list since ours began. Repeated it says
-- the same.
-- KEYS: listing, complete
-- ARGV: random name of our list, the mark
-- Result: 1 set, 0 not
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return 0
end
redis.call('SET', KEYS[2], ARGV[2])
return 1
