-- Begin to lead: a term greater than every one before, also across the loss of Redis (it follows the clock).
-- KEYS: term
-- Result: the term
local time = redis.call('TIME')
local term = tonumber(time[1]) * 1000000 + tonumber(time[2])
local latest = tonumber(redis.call('GET', KEYS[1]) or '0')
if latest >= term then
  term = latest + 1
end
-- 16 digits: exact in Lua's doubles, but written without an exponent only by format.
local text = string.format('%.0f', term)
redis.call('SET', KEYS[1], text)
return text
