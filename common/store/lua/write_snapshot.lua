-- Keep a snapshot, unless the one that is there was begun later.
-- KEYS: snapshot
-- ARGV: epoch seconds at which reading began, msgpack, lifetime in ms
-- Result: 1 kept, 0 the one there is newer
local at = redis.call('HGET', KEYS[1], 'at')
if at and tonumber(at) > tonumber(ARGV[1]) then
  return 0
end
redis.call('HSET', KEYS[1], 'at', ARGV[1], 'body', ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return 1
