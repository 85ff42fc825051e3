-- Advances a queue and counts it, or drops it if that is asked for and nothing is lost with it.
if not load_queue() then
  return {}
end
advance()
local waiting, active = redis.call('ZCARD', KEY.waiting), redis.call('ZCARD', KEY.ending)
-- From then on every place that was given before is too old to be restored.
local forgets_at = math.max(queue.opened_at, queue.last_number) + ARG.restorable_micros
if ARG.may_drop == 1 and waiting == 0 and active == 0 and queue.now >= forgets_at then
  redis.call('UNLINK', unpack(KEYS))
  return {}
end
return save_and_reply({ waiting = waiting, active = active, admitted_total = queue.admitted + tally.admitted })
