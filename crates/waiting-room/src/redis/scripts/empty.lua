if not load_queue() then
  return {}
end
advance()
local ended = redis.call('ZCARD', KEY.waiting)
-- No place that is unknown now can be restored.
redis.call('UNLINK', KEY.waiting, KEY.drawn, KEY.joined, KEY.ended)
queue.restores, queue.emptied_to, unsaved = 0, queue.last_number, true
if ended > 0 then
  change_standings()
end
return save_and_reply({ ended = ended })
