-- What is left of an action's tokens.
-- KEYS: rate (hash: `tokens`; `at` epoch seconds up to which tokens are counted and turns are given)
-- ARGV: burst, refill a second
-- Result: share of the burst, as text; 0 where callers wait
local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1000000
local burst = tonumber(ARGV[1])
local state = redis.call('HMGET', KEYS[1], 'tokens', 'at')
local tokens, at = tonumber(state[1] or burst), tonumber(state[2] or now)
if at > now then
  return '0'
end
return string.format('%.6f', math.min(burst, tokens + (now - at) * tonumber(ARGV[2])) / burst)
