-- A full list begins: until it is finished absence means nothing.
-- KEYS: listing, complete
-- ARGV: random name of the list
-- Result: 1
redis.call('SET', KEYS[1], ARGV[1])
redis.call('DEL', KEYS[2])
return 1
