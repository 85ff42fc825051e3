-- ARGV: account, number drawn, terms.
if not find() then
  return {}
end
local account, number = ARGV[9], tonumber(ARGV[10])
settle(account)
set_terms(tonumber(ARGV[11]), tonumber(ARGV[12]), tonumber(ARGV[13]), tonumber(ARGV[14]))
local newly = 0
if not ticket_of(account) then
  if is_full() then
    return answer(FULL)
  end
  newly = 1
  line.last = math.max(line.last + 1, line.now)
  -- The time within the millisecond is left to the place, so that it need not be kept beside it.
  local joined = joined_of(line.now)
  enter(account, line.last, joined, line.now < line.opens and number or -1)
  admit()
end
local place, joined = ticket_of(account)
return answer({ 'joined', newly, place, joined, standing_of(account) })
