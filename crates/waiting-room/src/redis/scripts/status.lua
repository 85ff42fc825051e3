if not load_queue() then
  return {}
end
advance(ARG.account_id)
local recalled = recall(ARG)
if recalled == 'present' then
  return save_and_reply(standing_of(ARG.account_id, ARG.uses == 1))
end
return save_and_reply(recalled == 'ended' and expired(ARG.account_id, ARG.number) or { standing = 'forgotten' })
