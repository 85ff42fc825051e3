if not find() then
  return {}
end
settle()
local count = redis.call('ZCARD', WAITING)
-- Whoever is not here now is not to come back.
redis.call('UNLINK', WAITING, DRAWN, JOINED, OVER)
line.restores, line.emptied, changed = 0, line.last, true
if count > 0 then
  alter()
end
return answer({ 'emptied', count })
