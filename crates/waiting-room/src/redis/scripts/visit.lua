-- Settles a line and counts it. ARGV: whether it may be dropped if nothing is lost with it.
if not find() then
  return {}
end
settle()
local waiting, active = redis.call('ZCARD', WAITING), redis.call('ZCARD', ENDING)
-- From then on every ticket from before is too old to be restored.
local forgets_at = math.max(line.opened, line.last) + RESTORABLE
if ARGV[9] == '1' and waiting == 0 and active == 0 and line.now >= forgets_at then
  redis.call('UNLINK', unpack(KEYS))
  return {}
end
return answer({ 'counted', waiting, active, line.admitted + tally.admitted })
