-- Put before the limiter's scripts: Redis' time, what is believed of an operation's bucket in EC2, and the line.
-- ARGV of all but give_back: burst and refill by the settings, ...
-- The hash `rate`: `table` what the settings say; `burst`, `refill` what is believed; `tokens` of the bucket at `at`;
--   `since` when its content was last known: full (`filled` 1) or empty (0); `taken` calls granted after that;
--   `probe_at` when slow start may begin again, `pause` before that; `window` calls beyond the bucket in this round of
--   slow start (0: none), `used` those granted, `round_at` its begin; `settled` the refill at the last refusal;
--   `basis` calls that it was counted by, and `sized` 1 if the burst was, too; `delay` from a call's grant to the news
--   of its refusal; `tickets` numbers given; `seen` Redis' time at the last call. All times in epoch seconds.
-- Two sorted sets, by caller that waits: `line` its ticket (urgency, then number), `due` when it asks again.
local URGENCY = 1e12      -- tickets of one urgency are below this times the next
local HEADROOM = 2        -- tokens left in EC2's bucket
local LEAST, LEAST_RATE = 0.05, 0.25  -- of the settings' refill, calls a second: some must be made to find out how the account stands
local ROUND = 0.4         -- seconds of a round of slow start, where refusals are known sooner
local CHANGED = 0.1       -- of the refill: less is taken for what was believed already
local EXACT = 20          -- calls by which a refill is known well enough
local FIRST_PAUSE, FULL_PAUSE, SETTLED_PAUSE, LONGEST_PAUSE = 2, 8, 30, 300  -- seconds until the next probe
local ABSENT = 10         -- seconds after which a place is free whose holder did not ask again
local LONGEST = 30        -- seconds after which everybody asks again: EC2 may have become more generous
local TIMES = {'at', 'since', 'probe_at', 'round_at', 'seen'}
local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1000000

local function text(number)
  return string.format('%.6f', number)
end

-- The least refill that is believed, however often EC2 refuses.
local function least()
  return math.min(LEAST_RATE, tonumber(ARGV[2]) * LEAST)
end

-- The state as of now. Beliefs begin with the settings, and begin anew where these change.
local function load(key)
  local burst, refill = ARGV[1], ARGV[2]
  local configured = burst .. ' ' .. refill
  local state = {table = configured, burst = tonumber(burst), refill = tonumber(refill), tokens = tonumber(burst),
    taken = 0,
    filled = 1, at = now, since = now, probe_at = 0, pause = 0, window = 0, used = 0, round_at = 0,
    settled = tonumber(refill), basis = 1, sized = 0, delay = 0, tickets = 0, seen = now}
  local found = redis.call('HGETALL', key)
  local kept = {}
  for i = 1, #found, 2 do
    kept[found[i]] = found[i + 1]
  end
  if kept.table == configured then
    for field, value in pairs(kept) do
      state[field] = tonumber(value) or value
    end
  elseif kept.tickets then
    state.tickets = tonumber(kept.tickets)
  end
  -- Where Redis' clock was set back, so are the times: else no call would be made until it has caught up.
  local back = state.seen - now
  if back > 0 then
    for _, field in ipairs(TIMES) do
      state[field] = state[field] - back
    end
  end
  state.seen = now
  state.tokens = state.tokens + (now - state.at) * state.refill
  state.at = now
  if state.tokens >= state.burst then
    state.tokens, state.filled, state.since, state.taken = state.burst, 1, now, 0
  end
  return state
end

local function save(key, state, lifetime)
  local flat = {}
  for field, value in pairs(state) do
    flat[#flat + 1] = field
    flat[#flat + 1] = type(value) == 'number' and text(value) or value
  end
  redis.call('HSET', key, unpack(flat))
  redis.call('PEXPIRE', key, lifetime)
end

-- Calls that EC2 lets through by what is believed, since its bucket's content was known.
local function expected_since(state)
  if state.filled == 1 then
    return state.burst + state.refill * (now - state.since)
  end
  return state.refill * math.max(1, now - state.since)
end

-- EC2 let `taken` calls through since its bucket's content was known. From full, burst and refill are scaled alike, as
-- accounts differ; from empty, only the refill counted. At most halved: others may have used the bucket up for once.
local function learn(state, taken)
  local expected = expected_since(state)
  local factor = math.max(0.5, taken / expected)
  state.refill = math.max(state.refill * factor, least())
  if state.filled == 1 then
    state.burst = math.max(1, state.burst * factor)
  end
end

-- Tokens that stay in EC2's bucket where it is not slow start: calls reach it bunched.
local function headroom(state)
  return math.min(HEADROOM, (state.burst - 1) / 4)
end

-- Since when a caller waits for this operation; nil where it has no place, or its last one is in another line.
local function waits_since(places, operation, who)
  local held, since = string.match(redis.call('HGET', places, who) or '', '^(%S+) (%S+)$')
  return held == operation and tonumber(since) or nil
end

local function leave(line, due, places, operation, who)
  redis.call('ZREM', line, who)
  redis.call('ZREM', due, who)
  if waits_since(places, operation, who) then
    redis.call('HDEL', places, who)
  end
end

-- Places whose holders did not come, or are to come after a clock was set back, are free.
local function drop_absent(line, due, places, operation)
  local long_ago, too_far = text(now - ABSENT), text(now + LONGEST + ABSENT)
  for _, range in ipairs({{'-inf', long_ago}, {too_far, '+inf'}}) do
    for _, who in ipairs(redis.call('ZRANGEBYSCORE', due, range[1], range[2])) do
      leave(line, due, places, operation, who)
    end
  end
end
