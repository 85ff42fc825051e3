if not load_queue() then
  return {}
end
advance(ARG.account_id)
set_terms(ARG)
local recalled = recall(ARG)
if recalled == 'ended' then
  return save_and_reply(expired(ARG.account_id, ARG.number))
end
if recalled == 'forgotten' and has_ended() then
  local held = ARG.held_until or 0
  if held <= queue.now or redis.call('ZCARD', KEY.ending) >= queue.max_active then
    return save_and_reply(expired(ARG.account_id, ARG.number))
  end
  -- It had been admitted, and has only to pay.
  end_place(ARG.account_id)
  enter(ARG.account_id, ARG.number, ARG.joined_at, ARG.draw)
  readmit(ARG.account_id)
  keep_until(ARG.account_id, held)
elseif recalled == 'forgotten' then
  if is_full() then
    return save_and_reply({ standing = 'full' })
  end
  -- If an earlier place of the account was restored, this later one proves that it had ended.
  end_place(ARG.account_id)
  -- A place that is forgotten shows that this queue was lost alone, as with one node of a cluster.
  local reformed_at = queue.opened_at - OPENED_AHEAD + ARG.reform_micros
  if queue.now < reformed_at and queue.reformed_at < reformed_at then
    queue.reformed_at = reformed_at
  end
  enter(ARG.account_id, ARG.number, ARG.joined_at, ARG.draw)
  change_standings()
  admit()
end
return save_and_reply(standing_of(ARG.account_id))
