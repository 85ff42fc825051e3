-- Gives lines at which something is due, and some that nobody has looked at for long, to one instance for a moment, and
-- when and which one is due next. KEYS: marker, due, checked, lengths. ARGV: now, until when they are claimed, how many, before
-- when a line was looked at last for long, how many of those.
local now, claimed_until = ARGV[1], ARGV[2]
redis.call('SET', KEYS[1], now, 'NX')
local due = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', now, 'LIMIT', 0, ARGV[3])
for _, concert in ipairs(due) do
  redis.call('ZADD', KEYS[2], claimed_until, concert)
end
local unseen = redis.call('ZRANGEBYSCORE', KEYS[3], '-inf', ARGV[4], 'LIMIT', 0, ARGV[5])
for _, concert in ipairs(unseen) do
  redis.call('ZADD', KEYS[3], now, concert)
end
local first = redis.call('ZRANGE', KEYS[2], 0, 0, 'WITHSCORES')
return { due, unseen, tonumber(first[2] or '0'), first[1] or '' }
