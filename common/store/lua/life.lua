-- Put before scripts that ask who is alive.
local function milliseconds_now()
  local time = redis.call('TIME')
  return tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end

-- Whether an incarnation has ceased to send heartbeats. Not of one that never sent any: nothing is known of it. Nor while
-- heartbeats as such have not been heard for a lifetime (Redis was away): the living had no time to send theirs.
local function is_dead(heartbeats, heard, incarnation, lifetime)
  local now, last, since = milliseconds_now(), redis.call('ZSCORE', heartbeats, incarnation), redis.call('GET', heard)
  return last and since and now - tonumber(last) > lifetime and now - tonumber(since) >= lifetime or false
end

-- Of the process that holds a node's lock, which is `<incarnation>/<run> <token>`; nil where it is not of this form.
local function incarnation_of(lock)
  return string.match(lock, '^(.*)/[^/ ]* %d+$')
end

-- Have the holder of a node's lock look at the node at once. It sees the mark in any case, so a refusal does no harm.
local function wake_holder(woken, lock, name, now, lifetime)
  local listener = woken .. (incarnation_of(lock) or '')
  redis.pcall('ZADD', listener, now, name)
  redis.pcall('PEXPIRE', listener, lifetime)
end

-- Whether a node's lock is void: none, or its holder is dead.
local function is_void(lock, heartbeats, heard, lifetime)
  local incarnation = lock and incarnation_of(lock)
  return not lock or incarnation ~= nil and is_dead(heartbeats, heard, incarnation, lifetime)
end
