-- Begin a run: take the node's lock. Whatever the outcome the message that led here is not pending any more.
-- KEYS: lock, fence, pending, running
-- ARGV: node name, owner, lifetime of the lock in ms, lifetime of the fence in ms
-- Result: fencing token, or false when another owner holds the lock
redis.call('DEL', KEYS[3])
local held = redis.call('GET', KEYS[1])
if held and string.sub(held, 1, #ARGV[2] + 1) ~= ARGV[2] .. ' ' then
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
