if not find() then
  return {}
end
settle()
local last_minute = tally.admitted
local second = math.floor(line.now / 1000000)
for _, packed in ipairs(redis.call('HVALS', MINUTE)) do
  local at, count = string.match(packed, '^(%d+) (%d+)$')
  if tonumber(at) > second - 60 then
    last_minute = last_minute + tonumber(count)
  end
end
-- Whoever took part in the draw was here before all who did not.
local oldest = redis.call('ZRANGE', DRAWN, 0, 0)[1] or redis.call('ZRANGE', WAITING, 0, 0)[1]
local joined = 0
if oldest then
  local _
  _, joined = ticket_of(oldest)
end
return answer({
  'stats', redis.call('ZCARD', WAITING), redis.call('ZCARD', ENDING), line.admitted + tally.admitted, last_minute,
  line.no_shows + tally.no_shows, joined,
})
