-- What is left of an action's tokens. After rate_state.lua.
-- KEYS: rate
-- ARGV: burst, refill a second
-- Result: share of the burst, as text; 0 where callers wait
local burst = tonumber(ARGV[1])
local state = state_of(KEYS[1])
local at = state.at or now
if at > now then
  return '0'
end
return text(math.min(burst, (state.tokens or burst) + (now - at) * tonumber(ARGV[2])) / burst)
