-- Note in which run of Redis everything was compared, where a full list was written.
-- KEYS: complete
-- ARGV: the mark
-- Result: 1 noted, 0 no full list was written
return redis.call('SET', KEYS[1], ARGV[1], 'XX') and 1 or 0
