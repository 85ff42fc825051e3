-- ARGV: account, the last place that the payment can have been made with.
if not find() then
  return {}
end
local account, place_max = ARGV[9], tonumber(ARGV[10])
settle(account)
local place, _, admission = ticket_of(account)
if not place then
  -- It was admitted by a line that was lost, and must not be restored.
  remember_over(account, math.min(line.opened - 1, place_max))
elseif place <= place_max and (admission or place < line.opened) then
  -- A later place that still waits was given after the admission that paid: it stays, so that spending twice does no
  -- harm.
  finish(account)
  admit()
end
return answer({ 'spent' })
