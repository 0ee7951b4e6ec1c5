-- Whether an incarnation is dead, as seen by one whose own heartbeats get through. After life.lua.
-- KEYS: heartbeats, heard
-- ARGV: incarnation, incarnation of who asks, lifetime of a heartbeat in ms
-- Result: 1 dead; 0 alive, or not known
local lifetime = tonumber(ARGV[3])
local own = redis.call('ZSCORE', KEYS[1], ARGV[2])
if not own or milliseconds_now() - tonumber(own) > lifetime then
  return 0
end
return is_dead(KEYS[1], KEYS[2], ARGV[1], lifetime) and 1 or 0
