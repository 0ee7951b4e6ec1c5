-- Set when to look at nodes again; an earlier time that is set stays.
-- KEYS: parked
-- ARGV: epoch seconds, node name, epoch seconds, node name, ...
-- Result: 1
for i = 1, #ARGV, 2 do
  redis.call('ZADD', KEYS[1], 'LT', ARGV[i], ARGV[i + 1])
end
return 1
