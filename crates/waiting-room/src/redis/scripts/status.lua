-- ARGV: account, place, time of joining.
if not find() then
  return {}
end
local account, place, joined = ARGV[9], tonumber(ARGV[10]), tonumber(ARGV[11])
settle(account)
local recollection = recollect(account, place, joined)
if recollection == 'here' then
  return answer(standing_of(account))
end
return answer(recollection == 'over' and EXPIRED or FORGOTTEN)
