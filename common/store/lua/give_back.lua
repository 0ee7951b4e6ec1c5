-- What waits does not want its place any more: those behind move up.
-- KEYS: places
-- ARGV: prefix of line, prefix of due, caller, caller, ...
-- Result: how many had a place
local given = 0
for i = 3, #ARGV do
  local operation = string.match(redis.call('HGET', KEYS[1], ARGV[i]) or '', '^%S+')
  if operation then
    redis.call('HDEL', KEYS[1], ARGV[i])
    redis.call('ZREM', ARGV[2] .. operation, ARGV[i])
    given = given + redis.call('ZREM', ARGV[1] .. operation, ARGV[i])
  end
end
return given
