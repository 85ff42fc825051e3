-- Adds a queue to the list of queues, and replies since when this Redis is ours; with nothing if there are too many.
redis.call('SET', KEY.ours_since, ARG.now, 'NX')
if not redis.call('ZSCORE', KEY.visited, ARG.concert) then
  if redis.call('ZCARD', KEY.visited) >= ARG.queues_max then
    return {}
  end
  redis.call('ZADD', KEY.visited, ARG.now, ARG.concert)
  redis.call('ZADD', KEY.lengths, 'NX', 0, ARG.concert)
end
return reply({ ours_since = tonumber(redis.call('GET', KEY.ours_since)) })
