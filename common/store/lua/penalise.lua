-- EC2 throttled an action: halve its rate for everyone, at most once a second. Turns given before stay as they are.
-- KEYS: rate (see reserve.lua)
-- ARGV: seconds in which a cut grows back, floor of the cut, lifetime of the state in ms
-- Result: 1 cut, 0 cut a moment ago
local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1000000
local state = redis.call('HMGET', KEYS[1], 'cut', 'cut_at', 'at')
local cut, cut_at = tonumber(state[1] or '1'), tonumber(state[2] or '0')
if now >= cut_at and now - cut_at < 1 then
  return 0
end
cut = math.min(1, cut + (1 - cut) * math.max(0, now - cut_at) / tonumber(ARGV[1]))
cut = math.max(tonumber(ARGV[2]), cut / 2)
redis.call('HSET', KEYS[1], 'cut', string.format('%.6f', cut), 'cut_at', string.format('%.6f', now), 'tokens', '0')
if now > tonumber(state[3] or '0') then
  redis.call('HSET', KEYS[1], 'at', string.format('%.6f', now))
end
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return 1
