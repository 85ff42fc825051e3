if not load_queue() then
  return {}
end
local account, held = ARG.account_id, ARG.held_until or 0
advance(account)
if queue.now < held then
  local number, _, _, sort_key = place_of(account)
  if sort_key and number < queue.opened_at and redis.call('ZCARD', KEY.ending) < queue.max_active then
    redis.call('ZREM', KEY.waiting, account)
    admit_one(account, sort_key)
  end
end
-- An account that holds seats, or gives them up, is here.
local admission = admission_of(account)
if admission then
  admission.held, admission.no_show = held, math.max(queue.now, held) + ARG.no_show_micros
  write_admission(account, admission)
  change_admissions()
end
advance(account)
return save_and_reply({})
