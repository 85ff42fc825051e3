if not load_queue() then
  return {}
end
advance(ARG.account)
local recalled = recall(ARG)
if recalled ~= 'ended' then
  end_place(ARG.account)
end
if recalled == 'forgotten' then
  remember_ended(ARG.account, ARG.number)
end
admit()
return save_and_reply({})
