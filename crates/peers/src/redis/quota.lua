-- Takes one from a quota that fills evenly: the generic cell rate algorithm (ITU-T I.371). What is kept is the time at
-- which all of the quota is there again. The time is that of Redis, the same for all.
--
-- Replies whether one was taken, how many are left, and in how many microseconds all are there again, or where none was
-- taken, one is.
local MINUTE = 60000000
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local each = MINUTE / ARG.per_minute
local full_at = math.max(now, tonumber(redis.call('GET', KEY.quota) or now)) + each
if full_at - now > MINUTE + 0.5 then
  return reply({ taken = 0, remaining = 0, micros = math.ceil(full_at - now - MINUTE) })
end
redis.call('SET', KEY.quota, string.format('%.0f', full_at), 'PX', math.ceil((full_at - now) / 1000) + 1)
-- Half a microsecond for each that was taken: times are kept as whole ones.
local remaining = math.floor((MINUTE - (full_at - now)) / each + 0.001)
return reply({ taken = 1, remaining = remaining, micros = math.ceil(full_at - now) })
