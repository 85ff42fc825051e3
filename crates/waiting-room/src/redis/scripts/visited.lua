-- Writes down how a queue is that was visited, or that there is none any more.
if not ARG.waiting then
  redis.call('ZREM', KEY.due, ARG.concert)
  redis.call('ZREM', KEY.visited, ARG.concert)
  redis.call('ZREM', KEY.lengths, ARG.concert)
  return
end
redis.call('ZADD', KEY.lengths, 'XX', ARG.waiting, ARG.concert)
local known = redis.call('ZSCORE', KEY.due, ARG.concert)
-- What another instance has written since it was claimed stays, unless it is later.
if known and tonumber(known) == ARG.claimed_until then
  redis.call('ZREM', KEY.due, ARG.concert)
end
if ARG.due then
  redis.call('ZADD', KEY.due, 'LT', ARG.due, ARG.concert)
end
