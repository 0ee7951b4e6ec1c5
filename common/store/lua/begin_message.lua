-- A task begins: its message waits no more. One that was replaced meanwhile, or begun by another worker, is spent.
-- KEYS: waiting, flag to set (may be left out)
-- ARGV: subject, id of the message ("" unknown), lifetime of the flag in ms
-- Result: 1 go on, 0 spent
if ARGV[2] ~= '' and redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then
  return 0
end
redis.call('HDEL', KEYS[1], ARGV[2] ~= '' and ARGV[1] or '')
if KEYS[2] then
  redis.call('SET', KEYS[2], '1', 'PX', ARGV[3])
end
return 1
