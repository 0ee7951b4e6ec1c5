-- Leave to call an EC2 operation now, or a place in the line. After rate_state.lua.
-- Within the bucket that is believed, calls go at once. Beyond it slow start finds out whether EC2 grants more: one call
-- in a round, then two, four ... until one is refused (throttled.lua); after that calls are paced by the refill.
-- KEYS: rate, line, due, places (hash: caller -> operation that it last got a place for, and since when)
-- ARGV: burst, refill, operation, who, urgency, seconds that beliefs last, milliseconds that `places` lasts
-- Result: 1 granted or 0 a place; seconds after which to ask again for that; Redis' time; seconds waited so far; believed
--         refill and burst. All but the first as text.
local rate, line, due, places = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local operation, who, urgency = ARGV[3], ARGV[4], tonumber(ARGV[5])
local state = load(rate)
local round = math.min(3, math.max(ROUND, 2 * state.delay))
drop_absent(line, due, places, operation)

-- A round without a refusal: EC2 has let through what it was asked for. Used up, the next one may ask for double.
if state.window > 0 and now - state.round_at >= round then
  if state.used == 0 then
    state.window = 0
  else
    if state.taken > expected_since(state) then
      learn(state, state.taken)
    end
    if state.used >= state.window then
      state.window = state.window * 2
    end
    state.round_at, state.used = now, 0
  end
end

-- How many calls may be made now: of the bucket, then of this round, over which they are spread.
local there = math.max(0, math.floor(state.tokens - headroom(state)))
if there == 0 and state.window == 0 and now >= state.probe_at then
  state.window, state.used, state.round_at = 1, 0, now
end
local beyond = 0
if state.window > 0 then
  local opened = 1 + math.floor(state.window * (now - state.round_at) / round)
  beyond = math.min(state.window, opened) - state.used
end

-- Seconds until so many tokens more are there, if nothing is refused: paced by the refill until slow start, then round
-- by round.
local function seconds_for(need)
  local window, left, passed = 0, math.max(0, state.probe_at - now), 0
  if state.window > 0 then
    window, left = state.window, state.round_at + round - now
  end
  while passed < LONGEST do
    local speed = state.refill + window / round
    if need <= speed * left then
      return passed + need / speed
    end
    need, passed, left, window = need - speed * left, passed + left, round, math.max(1, window * 2)
  end
  return LONGEST
end

local ticket = tonumber(redis.call('ZSCORE', line, who) or nil)
local before = redis.call('ZCOUNT', line, '-inf', '(' .. text(ticket or URGENCY * (urgency + 1)))
local since = ticket and waits_since(places, operation, who) or now
local granted, wait = 0, 0
if before < there + beyond then
  granted = 1
  state.taken = state.taken + 1
  if there > 0 then
    state.tokens = state.tokens - 1
  else
    state.used = state.used + 1
  end
  if ticket then
    leave(line, due, places, operation, who)
  end
else
  local short = before + 1 - math.max(0, state.tokens - headroom(state)) - beyond
  wait = math.min(LONGEST, math.max(0.005, seconds_for(short)))
  if not ticket then
    state.tickets = state.tickets + 1
    redis.call('ZADD', line, text(URGENCY * urgency + state.tickets), who)
  end
  redis.call('ZADD', due, text(now + wait), who)
  redis.call('HSET', places, who, operation .. ' ' .. text(since))
  redis.call('PEXPIRE', places, ARGV[7])
  for _, key in ipairs({line, due}) do
    redis.call('EXPIRE', key, LONGEST + ABSENT + 1)
  end
end
save(rate, state, ARGV[6] * 1000)
return {granted, text(wait), text(now), text(math.max(0, now - since)), text(state.refill), text(state.burst)}
