-- ARGV: account, place, time of joining.
if not find() then
  return {}
end
local account, place, joined = ARGV[9], tonumber(ARGV[10]), tonumber(ARGV[11])
settle(account)
local recollection = recollect(account, place, joined)
if recollection ~= 'over' then
  finish(account)
end
if recollection == 'forgotten' then
  remember_over(account, place)
end
admit()
return answer({ 'left' })
