if not load_queue() then
  return {}
end
local account = ARG.account_id
advance(account)
local number, _, admission = place_of(account)
if not number then
  -- It was admitted by a queue that was lost, and must not be restored.
  remember_ended(account, math.min(queue.opened_at - 1, ARG.number_max))
elseif number <= ARG.number_max and (admission or number < queue.opened_at) then
  -- A later place that still waits was given after the admission that paid. It stays, so that spending twice does no harm.
  end_place(account)
  admit()
end
return save_and_reply({})
