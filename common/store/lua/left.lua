-- What is left of an operation's tokens. After rate_state.lua.
-- KEYS: rate, line
-- ARGV: burst, refill
-- Result: share of the burst, as text; 0 where callers wait
local state = load(KEYS[1])
if redis.call('ZCARD', KEYS[2]) > 0 then
  return '0'
end
return text(math.max(0, state.tokens) / state.burst)
