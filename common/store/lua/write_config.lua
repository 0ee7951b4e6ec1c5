-- Write the cluster's configuration.
-- KEYS: config
-- ARGV: msgpack
-- Result: 1
redis.call('SET', KEYS[1], ARGV[1])
return 1
