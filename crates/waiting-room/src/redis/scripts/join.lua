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
  enter(account, line.last, line.now, number)
  admit()
end
local place, joined = ticket_of(account)
return answer({ 'joined', newly, place, joined, standing_of(account) })
