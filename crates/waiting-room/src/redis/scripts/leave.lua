if not load_queue() then
  return {}
end
advance(ARG.account_id)
local recalled = recall(ARG)
if recalled ~= 'ended' then
  end_place(ARG.account_id)
end
if recalled == 'forgotten' then
  remember_ended(ARG.account_id, ARG.number)
end
admit()
return save_and_reply({})
