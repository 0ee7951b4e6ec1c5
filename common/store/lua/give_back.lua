-- What waits does not want its place any more: those behind move up.
-- KEYS: places
-- ARGV: prefix of line, prefix of due, who waits, who waits, ...
-- Result: how many had a place
local given = 0
for i = 3, #ARGV do
  local action = string.match(redis.call('HGET', KEYS[1], ARGV[i]) or '', '^%S+')
  if action then
    redis.call('HDEL', KEYS[1], ARGV[i])
    redis.call('ZREM', ARGV[2] .. action, ARGV[i])
    given = given + redis.call('ZREM', ARGV[1] .. action, ARGV[i])
  end
end
return given
