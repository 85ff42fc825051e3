-- Claims queues for one instance for a moment: those at which something is due, and some that no instance has visited
-- for long. Replies also with the queue that is due next, and when.
redis.call('SET', KEY.ours_since, ARG.now, 'NX')
local due = redis.call('ZRANGEBYSCORE', KEY.due, '-inf', ARG.now, 'LIMIT', 0, ARG.due_max)
for _, concert in ipairs(due) do
  redis.call('ZADD', KEY.due, ARG.claimed_until, concert)
end
local unvisited = redis.call('ZRANGEBYSCORE', KEY.visited, '-inf', ARG.unvisited_since, 'LIMIT', 0, ARG.unvisited_max)
for _, concert in ipairs(unvisited) do
  redis.call('ZADD', KEY.visited, ARG.now, concert)
end
local first = redis.call('ZRANGE', KEY.due, 0, 0, 'WITHSCORES')
return reply({ due = due, unvisited = unvisited, first = first[1], first_due = tonumber(first[2]) })
