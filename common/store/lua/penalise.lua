-- EC2 throttled an action. A rate above the table has found its ceiling: back to it after a pause in which EC2's bucket
-- fills a little. A rate at the table is halved for everyone, at most once a second. Turns given before stay.
-- After rate_state.lua.
-- KEYS: rate (see reserve.lua)
-- ARGV: seconds in which a cut grows back, floor of the cut, lifetime of the state in ms, gain that counts as beyond,
--       share of a gain beyond that is kept, pause in seconds, seconds in which throttling is put down to the last finding
-- Result: 1 slowed down, 0 that was done a moment ago
local state = state_of(KEYS[1])
local gain, at = state.gain or 1, math.max(state.at or now, now)
local cut, cut_at = state.cut or 1, state.cut_at or 0
if now - (state.found_at or 0) < tonumber(ARGV[7]) then
  return 0
end
if gain > 1.005 then
  local ceiling = 1
  if gain > tonumber(ARGV[4]) then
    ceiling = gain * tonumber(ARGV[5])
  end
  redis.call('HSET', KEYS[1], 'gain', ceiling, 'ceiling', ceiling, 'ceiling_at', text(now),
    'found_at', text(now), 'tokens', '0', 'at', text(at + tonumber(ARGV[6])), 'seen', text(now))
  redis.call('PEXPIRE', KEYS[1], ARGV[3])
  return 1
end
if now >= cut_at and now - cut_at < 1 then
  return 0
end
cut = math.min(1, cut + (1 - cut) * math.max(0, now - cut_at) / tonumber(ARGV[1]))
cut = math.max(tonumber(ARGV[2]), cut / 2)
redis.call('HSET', KEYS[1], 'cut', text(cut), 'cut_at', text(now), 'tokens', '0',
  'at', text(at), 'gain', '1', 'seen', text(now))
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return 1
