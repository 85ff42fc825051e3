-- What a sale has for its queue. After the prelude.

-- Closes an admission when the queue has ended, which is kept for a moment as its account may just be holding seats; and
-- ends it when the queue goes on.
local function close_admission(account)
  local admission = admission_of(account)
  if not admission then
    return
  end
  local closed_until = queue.now + CLOSING_MICROS
  if has_ended() then
    if admission.admitted_until > closed_until then
      admission.admitted_until = closed_until
      write_admission(account, admission)
      change_admissions()
    end
  elseif admission.number <= queue.ended_to and admission.admitted_until <= closed_until and not holds(admission) then
    end_place(account)
  end
end

local function close_admissions()
  local scanned = redis.call('HSCAN', KEY.active, text(queue.closing - 1), 'COUNT', WORK_MAX)
  for index = 1, #scanned[2], 2 do
    close_admission(scanned[2][index])
  end
  local cursor = tonumber(scanned[1])
  queue.closing, unsaved = cursor > 0 and cursor + 1 or 0, true
end

-- Ends all places that wait.
local function end_waiting()
  queue.ended_with, queue.ended_to, queue.emptied_to = queue.offer_now, queue.last_number, queue.last_number
  -- Places of an earlier queue must not be restored again. Those drawn may be among them.
  local earlier = redis.call('ZRANGEBYSCORE', KEY.waiting, '-inf', '(' .. text(queue.opened_at), 'WITHSCORES', 'LIMIT', 0,
    REMEMBERED_MAX + 1)
  if #earlier > 2 * REMEMBERED_MAX then
    queue.restores = 0
    redis.call('UNLINK', KEY.ended)
  else
    for index = 1, #earlier, 2 do
      local number = waiting_of(earlier[index], tonumber(earlier[index + 1]))
      if number < queue.opened_at then
        remember_ended(earlier[index], number)
      end
    end
  end
  redis.call('UNLINK', KEY.waiting, KEY.drawn, KEY.joined)
end

local function update_offer(account)
  local offer = queue.offer
  if queue.ends_at > 0 and queue.ends_at <= queue.now then
    offer = queue.ends_with
  end
  if offer ~= queue.offer_now then
    local had_ended = has_ended()
    queue.offer_now = offer
    change_standings()
    if has_ended() ~= had_ended then
      queue.closing = 1
      if has_ended() then
        end_waiting()
      end
    end
  end
  if queue.closing > 0 then
    if account then
      close_admission(account)
    end
    close_admissions()
  end
end
