-- Put before a leader's scripts: refuse a leader whose term is over. The last key and argument are the fence's own.
-- KEYS: ..., term
-- ARGV: ..., the writer's term
-- Result: the error STALETERM, or what the script after it says
local term_key, term = table.remove(KEYS), table.remove(ARGV)
local latest = redis.call('GET', term_key)
if latest and tonumber(latest) > tonumber(term) then
  return redis.error_reply('STALETERM ' .. latest .. ' leads, not ' .. term)
end
-- Lost with Redis: the latest that writes restores it.
if latest ~= term then
  redis.call('SET', term_key, term)
end
