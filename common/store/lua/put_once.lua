-- Put a message into a queue, unless one for the same subject waits already.
-- KEYS: waiting, queue
-- ARGV: subject, id of the message, message
-- Result: 1 put, 0 one waits
if redis.call('HSETNX', KEYS[1], ARGV[1], ARGV[2]) == 0 then
  return 0
end
redis.call('LPUSH', KEYS[2], ARGV[3])
return 1
