-- Opens a queue if there is none.
if not load_queue() then
  queue, stored = {}, {}
  for _, name in ipairs(FIELDS) do
    queue[name] = 0
  end
  queue.now = ARG.now
  -- The instance that gave the last place of a lost queue may be ahead of this one, and its places must be below all of
  -- this queue's.
  queue.opened_at = queue.now + OPENED_AHEAD
  queue.last_number, queue.rate_until, queue.restores = queue.opened_at - 1, queue.now, 1
  if queue.now < ARG.ours_since + ARG.reform_micros then
    queue.reformed_at = ARG.ours_since + ARG.reform_micros
  end
  -- An earlier queue may have lost its first key alone.
  redis.call('UNLINK', KEY.waiting, KEY.drawn, KEY.joined, KEY.active, KEY.ending, KEY.idle, KEY.ended,
    KEY.minute, KEY.left, KEY.networks, KEY.passed_over)
  change_standings()
end
return save_and_reply({})
