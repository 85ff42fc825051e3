if not load_queue() then
  return {}
end
advance()
local last_minute = tally.admitted
local second = math.floor(queue.now / 1000000)
for _, packed in ipairs(redis.call('HVALS', KEY.minute)) do
  local at, count = string.match(packed, '^(%d+) (%d+)$')
  if tonumber(at) > second - 60 then
    last_minute = last_minute + tonumber(count)
  end
end
-- All who took part in the draw joined before all who did not.
local oldest = redis.call('ZRANGE', KEY.drawn, 0, 0)[1] or redis.call('ZRANGE', KEY.waiting, 0, 0)[1]
local oldest_joined_at
if oldest then
  local _
  _, oldest_joined_at = place_of(oldest)
end
return save_and_reply({
  waiting = redis.call('ZCARD', KEY.waiting), active = redis.call('ZCARD', KEY.ending),
  admitted_total = queue.admitted + tally.admitted, admitted_last_minute = last_minute,
  no_shows_total = queue.no_shows + tally.no_shows, oldest_joined_at = oldest_joined_at,
  restores = queue.restores == 1 and any_restorable() and 1 or 0,
})
