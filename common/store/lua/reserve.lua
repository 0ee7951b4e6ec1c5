-- Take the next free turn for an EC2 action: tokens while there are any, else the end of the line. The rate finds out what
-- the account has. Turns are given only as far ahead as the horizon; whoever is further back gets a place: an estimate of
-- his turn, at which he comes back with `turn`. After rate_state.lua.
-- KEYS: rate (hash: `tokens`; `at` epoch seconds up to which tokens are counted and turns are given;
--       `tail` estimated end of the places, `late` of those that came back too early; `gain` factor on the refill,
--       `gain_at` when it was last looked at, `busy` since when somebody always waits (0: nobody);
--       `places` given and not come back for; `ceiling` of the gain and `ceiling_at` when EC2 showed it; `cut` factor
--       after throttling, `cut_at`; `seen` Redis' time at the last call),
--       places (hash: who has one -> action)
-- ARGV: burst, refill a second, cost, 1 patient, 1 comes back for his place, longest wait of an impatient caller,
--       horizon, seconds in which a cut grows back, seconds of waiting before growth, growth a second near the table,
--       and beyond, gain that counts as beyond, largest gain, seconds for which a ceiling counts, least wait of a
--       place, seconds of waiting at the table's rate that the places must amount to before growth, seconds in which
--       whoever has a place comes back for it, action, prefix of rate, who calls ("" unknown), lifetime of places in ms
-- Result: seconds to wait, as text; at least that of a place: a place (patient) or nothing (impatient); rate, as text
local burst, refill, cost = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local patient, turn = ARGV[4] == '1', ARGV[5] == '1'
local apart, line = tonumber(ARGV[15]), tonumber(ARGV[16])
local horizon, regrow = tonumber(ARGV[7]), tonumber(ARGV[8])
local near, far, beyond, largest = tonumber(ARGV[10]), tonumber(ARGV[11]), tonumber(ARGV[12]), tonumber(ARGV[13])
local who = ARGV[20]
if turn and who ~= '' then
  local waited_for = redis.call('HGET', KEYS[2], who) or ARGV[18]
  -- What he waited for is another change than the one that he makes now. (A look comes with the turn of a change.)
  if waited_for ~= ARGV[18] and string.sub(waited_for, 1, 8) ~= 'Describe' and string.sub(ARGV[18], 1, 8) ~= 'Describe' then
    give_back(KEYS[2], ARGV[19], who)
  end
end
local state = state_of(KEYS[1])
local tokens, at = state.tokens or burst, state.at or now
local tail, late = math.max(state.tail or now, now), math.max(state.late or now, now)
local gain, gain_at, busy = state.gain or 1, state.gain_at or now, state.busy or 0
local places = state.places or 0
local cut, cut_at = state.cut or 1, state.cut_at or 0
cut = math.min(1, cut + (1 - cut) * math.max(0, now - cut_at) / regrow)

local limit = largest
if state.ceiling and now - state.ceiling_at < tonumber(ARGV[14]) then
  limit = state.ceiling
end
-- Only where turns are given ahead, which shows that callers would use more: else it would grow untried.
if at > now and busy > 0 and now - busy >= tonumber(ARGV[9]) and cut >= 1
    and (gain > 1 or places >= line * refill) then
  local step = math.min(1, math.max(0, now - gain_at))
  gain = math.min(math.max(gain, 1) * (1 + (gain < beyond and near or far) * step), limit)
end
local rate = refill * math.max(1, gain) * cut
if now > at then
  tokens = math.min(burst, tokens + (now - at) * rate)
  at = now
end
if places > 0 and tokens >= math.min(burst, rate * tonumber(ARGV[17])) then
  -- Nobody has come for so long, though places were due: those who had them are gone.
  tail, late, places = now, now, 0
end
local left, start = tokens - cost, at
if left < 0 then
  start = at - left / rate
  left = 0
end
local wait = math.max(0, start - now)
if gain <= 1 and places < line * refill then
  -- The rate does not change soon: turns may be given up to what makes a place.
  horizon = apart - 0.05
end
local last = math.max(tail, late)
if wait <= 0 and last - now <= horizon then
  busy = 0
  places = 0
elseif busy == 0 then
  busy = now
end

if not patient and math.max(wait, last - now) > tonumber(ARGV[6]) then
  wait = math.max(wait, last - now)
elseif wait <= horizon and (turn or last - now <= horizon) then
  tokens, at = left, start
  if turn then
    places = math.max(0, places - 1)
    redis.call('HDEL', KEYS[2], who)
  end
elseif turn then
  late = math.max(late + cost / rate, start)
  wait = math.max(late - now, apart)
else
  -- How fast it may be going then, if EC2 lets it: too early costs one more visit, too late costs time.
  local possible = rate
  if cut >= 1 then
    local ahead = math.max(0, last - now - (busy > now - tonumber(ARGV[9]) and tonumber(ARGV[9]) or 0))
    local slow = math.min(ahead, math.log(beyond) / near)
    possible = refill * math.min(limit, math.max(1, gain) * math.exp(near * slow + far * (ahead - slow)))
  end
  tail = math.max(last + cost / math.max(possible, rate), start)
  wait = math.max(tail - now, apart)
  places = places + 1
  if who ~= '' then
    redis.call('HSET', KEYS[2], who, ARGV[18])
    redis.call('PEXPIRE', KEYS[2], ARGV[21])
  end
end
redis.call('HSET', KEYS[1], 'tokens', text(tokens), 'at', text(at), 'tail', text(tail), 'late', text(late),
  'gain', text(gain), 'gain_at', text(now), 'busy', text(busy), 'places', places, 'seen', text(now))
redis.call('PEXPIRE', KEYS[1], math.ceil((math.max(wait, tail - now) + burst / refill + tonumber(ARGV[14])) * 1000))
return {text(wait), text(rate)}
