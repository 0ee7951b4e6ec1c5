-- Put before the limiter's scripts: Redis' time, and the state of an action's bucket as of that time.
-- Where Redis' clock was set back, so are the times of the state: else no call would be made, or throttling be ignored,
-- until the clock has caught up. Set forward it looks as if nobody had called meanwhile, which costs one burst at most.
local TIMES = {'at', 'tail', 'late', 'gain_at', 'busy', 'ceiling_at', 'cut_at', 'found_at', 'seen'}
local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1000000

local function text(number)
  return string.format('%.6f', number)
end

local function state_of(key)
  local state = {}
  local flat = redis.call('HGETALL', key)
  for i = 1, #flat, 2 do
    state[flat[i]] = tonumber(flat[i + 1])
  end
  local back = (state.seen or now) - now
  if back > 0 then
    for _, field in ipairs(TIMES) do
      if (state[field] or 0) > 0 then
        state[field] = state[field] - back
        redis.call('HSET', key, field, text(state[field]))
      end
    end
  end
  return state
end

-- The place that somebody has in an action's line, if any, is free again.
local function give_back(places_key, rate_prefix, who)
  local action = redis.call('HGET', places_key, who)
  if not action then
    return 0
  end
  redis.call('HDEL', places_key, who)
  local key = rate_prefix .. action
  local state = state_of(key)
  local places = state.places or 0
  if places > 0 then
    -- Each place is an equal share of the line; what the next ones would take is not known.
    local first = math.max(state.at or now, now)
    local tail = first + math.max(0, (state.tail or now) - first) * (places - 1) / places
    redis.call('HSET', key, 'places', places - 1, 'tail', text(tail))
  end
  return 1
end
