-- EC2 refused a call for its request limits: its bucket is empty now. After rate_state.lua.
-- KEYS: rate, line, due, places (see reserve.lua)
-- ARGV: burst, refill, operation, who, urgency, seconds that beliefs last, Redis' time at which the call was granted
-- Result: 1 something new, 0 the call was under way when EC2 was last known to be empty
local state = load(KEYS[1])
local granted_at, new = tonumber(ARGV[7]), 0
state.delay = math.max(0, now - granted_at)
if state.filled == 0 and granted_at <= state.since then
  -- It tells nothing but that it is one less that was let through.
  local factor = math.max(0, 1 - 1 / state.basis)
  state.refill = math.max(state.refill * factor, least())
  state.burst = math.max(1, state.sized == 1 and state.burst * factor or state.burst)
else
  new = 1
  state.basis, state.sized = math.max(1, state.taken), state.filled
  learn(state, math.max(0.5, state.taken - 0.5))
  local changed = math.abs(state.refill / state.settled - 1) > math.max(CHANGED, math.min(0.4, 2 / state.basis))
  if changed then
    state.pause = FIRST_PAUSE
  elseif state.basis >= EXACT then
    -- From full, burst and refill may both be wrong and make up for each other.
    local least = state.sized == 1 and FULL_PAUSE or SETTLED_PAUSE
    state.pause = math.min(LONGEST_PAUSE, math.max(least, 2 * state.pause))
  else
    -- Over twice the time it is counted twice as exactly.
    state.pause = math.min(SETTLED_PAUSE, math.max(FIRST_PAUSE, 2 * state.pause))
  end
  state.settled = state.refill
  state.probe_at = now + state.pause
end
state.tokens, state.filled, state.since, state.taken, state.window, state.used = 0, 0, now, 0, 0, 0
-- A caller that was refused comes first.
redis.call('ZADD', KEYS[2], text(URGENCY * ARGV[5]), ARGV[4])
redis.call('ZADD', KEYS[3], text(now + 1), ARGV[4])
redis.call('HSET', KEYS[4], ARGV[4], ARGV[3] .. ' ' .. text(now))
save(KEYS[1], state, ARGV[6] * 1000)
return new
