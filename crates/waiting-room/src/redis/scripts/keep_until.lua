-- ARGV: account, until when it holds seats.
if not find() then
  return {}
end
local account, held = ARGV[9], tonumber(ARGV[10])
settle(account)
if line.now < held then
  local place, _, _, turn = ticket_of(account)
  if turn and place < line.opened and redis.call('ZCARD', ENDING) < line.max_active then
    redis.call('ZREM', WAITING, account)
    admit_one(account, turn)
  end
end
change_admission(account, function(admission)
  admission.held = held
  if held > 0 then
    admission.no_show = 0
  end
end)
settle(account)
return answer({ 'kept' })
