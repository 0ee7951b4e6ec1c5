-- Begin a run: take the node's lock. Whatever the outcome, the message that led here waits no more. A message that was
-- replaced, or led to a run before, is spent.
-- A lock whose holder is dead is taken over. After life.lua.
-- KEYS: lock, fence, waiting, running, heartbeats, heard
-- ARGV: node name, owner, lifetime of the lock in ms, lifetime of the fence in ms, id of the message ("" unknown),
--   lifetime of a heartbeat in ms
-- Result: fencing token, or false when another owner holds the lock or the message is spent
local held = redis.call('GET', KEYS[1])
local own = held and string.sub(held, 1, #ARGV[2] + 1) == ARGV[2] .. ' '
local waits = ARGV[5] ~= '' and redis.call('HGET', KEYS[3], ARGV[1]) == ARGV[5]
-- Without a message of ours this only is a first write that needs no memory: a full Redis refuses the others no more.
redis.call('HDEL', KEYS[3], waits and ARGV[1] or '')
if not own and not is_void(held, KEYS[5], KEYS[6], tonumber(ARGV[6])) or ARGV[5] ~= '' and not waits and not own then
  return false
end
local time = redis.call('TIME')
-- 16 digits: exact in Lua's doubles, but written without an exponent only by format.
local token = tonumber(time[1]) * 1000000 + tonumber(time[2])
local stored = tonumber(redis.call('GET', KEYS[2]) or '0')
if stored >= token then
  token = stored + 1
end
local text = string.format('%.0f', token)
redis.call('SET', KEYS[2], text, 'PX', ARGV[4])
redis.call('SET', KEYS[1], ARGV[2] .. ' ' .. text, 'PX', ARGV[3])
redis.call('SADD', KEYS[4], ARGV[1])
return text
