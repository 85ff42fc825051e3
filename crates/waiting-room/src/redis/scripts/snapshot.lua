-- What an instance needs to answer by itself for a moment. Its arguments are what it knows already.
if not load_queue() then
  return {}
end
-- The first in the queue may be admitted any moment. Of the others it gets the sort keys of some, the fewer the further.
local NEAR, STEP = math.max(512, queue.max_active), 16
local ADMITTED_MAX = 4096

advance()
local waiting = redis.call('ZCARD', KEY.waiting)
local pivot_ranks, pivot_keys, rank = {}, {}, NEAR
while rank < waiting do
  pivot_ranks[#pivot_ranks + 1] = rank
  pivot_keys[#pivot_keys + 1] = tonumber(redis.call('ZRANGE', KEY.waiting, rank, rank, 'WITHSCORES')[2])
  if rank == waiting - 1 then
    break
  end
  rank = math.min(rank + math.floor(rank / STEP), waiting - 1)
end

local values = add_pace({
  waiting = waiting, last_number = queue.last_number, emptied_to = queue.emptied_to, drawn_to = queue.drawn_to,
  admitted_to = queue.admitted_to, pivot_ranks = pivot_ranks, pivot_keys = pivot_keys,
  admissions_version = queue.admissions_version, left_total = queue.left,
})

local same = ARG.opened_at == queue.opened_at
if not same or ARG.admissions_version ~= queue.admissions_version then
  local accounts, numbers, admitted_untils, active_untils = {}, {}, {}, {}
  -- Those who may stay longest.
  for _, account in ipairs(redis.call('ZREVRANGE', KEY.ending, 0, ADMITTED_MAX - 1)) do
    local admission = admission_of(account)
    if admission then
      local index = #accounts + 1
      accounts[index], numbers[index] = account, admission.number
      admitted_untils[index], active_untils[index] = admission.admitted_until, active_until(admission)
    end
  end
  values.admitted_accounts, values.admitted_numbers = accounts, numbers
  values.admitted_untils, values.active_untils = admitted_untils, active_untils
end

local left_accounts, left_numbers = {}, {}
local missed = queue.left - (same and ARG.left_total or 0)
if missed > 0 then
  for index, packed in ipairs(redis.call('LRANGE', KEY.left, 0, missed - 1)) do
    left_accounts[index], left_numbers[index] = string.sub(packed, 1, 16), tonumber(string.sub(packed, 17))
  end
end
values.left_accounts, values.left_numbers = left_accounts, left_numbers
return save_and_reply(values)
