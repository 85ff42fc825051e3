-- Counts an attempt before it is made, or says that it may not be made yet: the rule of `Attempts` in the domain. The time is
-- that of Redis, the same for all.
--
-- Replies whether it was counted; if not, in how many microseconds one may be made.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local known = redis.call('HMGET', KEY.attempts, 'count', 'latest_at')
local count = tonumber(known[1] or 0)
if count >= ARG.free and known[2] then
  local free_at = known[2] + math.min(2 ^ (count - ARG.free), ARG.wait_seconds_max) * 1000000
  if now < free_at then
    return reply({ counted = 0, micros = free_at - now })
  end
end
redis.call('HSET', KEY.attempts, 'count', count + 1, 'latest_at', string.format('%.0f', now))
redis.call('EXPIRE', KEY.attempts, ARG.remembered_seconds)
return reply({ counted = 1, micros = 0 })
