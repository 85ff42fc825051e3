if not load_queue() then
  return {}
end
local account = ARG.account_id
advance(account)
set_terms(ARG)
local newly = 0
if has_ended() then
  local admission = admission_of(account)
  if not admission or not holds(admission) then
    return save_and_reply({ standing = 'ended', reason = queue.offer_now })
  end
elseif not place_of(account) then
  if is_full() then
    return save_and_reply({ standing = 'full' })
  end
  newly = 1
  queue.last_number = math.max(queue.last_number + 1, queue.now)
  -- The number of the place has the time within the millisecond, so that the time need not be kept beside it.
  local joined = joined_of(queue.now)
  enter(account, queue.last_number, joined, queue.now < queue.opens_at and ARG.draw or nil)
  admit()
end
local values = standing_of(account)
values.number, values.joined_at = place_of(account)
values.newly = newly
return save_and_reply(values)
