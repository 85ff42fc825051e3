if not load_queue() then
  return {}
end
local account, held = ARG.account_id, ARG.held_until or 0
advance(account)
if queue.now < held then
  readmit(account)
end
keep_until(account, held)
advance(account)
return save_and_reply({})
