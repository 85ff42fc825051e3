-- ARGV: account, place, time of joining, number drawn, terms.
if not find() then
  return {}
end
local account, place, joined, number = ARGV[9], tonumber(ARGV[10]), tonumber(ARGV[11]), tonumber(ARGV[12])
settle(account)
set_terms(tonumber(ARGV[13]), tonumber(ARGV[14]), tonumber(ARGV[15]), tonumber(ARGV[16]))
local recollection = recollect(account, place, joined)
if recollection == 'over' then
  return answer(EXPIRED)
end
if recollection == 'forgotten' then
  if is_full() then
    return answer(FULL)
  end
  -- Should an earlier place of the account have been restored, then this later one proves that it had ended.
  finish(account)
  -- A line that was lost alone, as with one node of a cluster, is told by those who come back.
  if line.now < line.opened + REFORM and line.reformed < line.opened + REFORM then
    line.reformed = line.opened + REFORM
  end
  enter(account, place, joined, number)
  alter()
  admit()
end
return answer(standing_of(account))
