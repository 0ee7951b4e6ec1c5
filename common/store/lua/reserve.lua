-- Take the next free turn for an EC2 action: tokens while there are any, else the end of the queue.
-- KEYS: rate (hash: `tokens`; `at` epoch seconds up to which tokens are counted and turns are given;
--       `cut` factor on the refill after throttling, `cut_at` epoch seconds of it)
-- ARGV: burst, refill a second, cost, longest wait of an impatient caller in seconds ("" patient),
--       seconds in which a cut grows back to none
-- Result: seconds to wait, as text; rate, as text
local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1000000
local burst, refill, cost = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local state = redis.call('HMGET', KEYS[1], 'tokens', 'at', 'cut', 'cut_at')
local tokens, at = tonumber(state[1] or burst), tonumber(state[2] or now)
local cut, cut_at = tonumber(state[3] or '1'), tonumber(state[4] or '0')
local grown = math.max(0, now - cut_at) / tonumber(ARGV[5])
local rate = refill * math.min(1, cut + (1 - cut) * grown)
if now > at then
  tokens = math.min(burst, tokens + (now - at) * rate)
  at = now
end
if tokens >= cost then
  tokens = tokens - cost
else
  at = at + (cost - tokens) / rate
  tokens = 0
end
local wait = math.max(0, at - now)
if ARGV[4] ~= '' and wait > tonumber(ARGV[4]) then
  return {string.format('%.6f', wait), string.format('%.6f', rate)}
end
redis.call('HSET', KEYS[1], 'tokens', string.format('%.6f', tokens), 'at', string.format('%.6f', at))
redis.call('PEXPIRE', KEYS[1], math.ceil((wait + burst / refill + tonumber(ARGV[5])) * 1000))
return {string.format('%.6f', wait), string.format('%.6f', rate)}
