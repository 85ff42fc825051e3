-- Advancing a queue, and what a step replies. After the prelude and what a sale has for its queue.

-- Advances the queue to now: ends what is due, the given account's admission first, and admits the next.
local function advance(account)
  local from = admits_from()
  local waited = admits() and redis.call('ZCARD', KEY.waiting) > 0
  pass(math.min(queue.now, from), false)
  pass(queue.now, waited)
  update_closed()
  update_offer(account)
  if account then
    local ended_at = tonumber(redis.call('ZSCORE', KEY.ending, account) or math.huge)
    if ended_at <= queue.now then
      end_overdue(account)
    end
  end
  for _, overdue in ipairs(redis.call('ZRANGEBYSCORE', KEY.ending, '-inf', text(queue.now), 'LIMIT', 0, budget)) do
    end_overdue(overdue)
  end
  admit()
end

-- Takes over what is newer in terms: the later version, and the later reading of the sale.
local function set_terms(terms)
  local opens_at = terms.opens_at or 0
  local same = terms.version == queue.terms_version and terms.max_active == queue.max_active
    and terms.paused == queue.paused and opens_at == queue.opens_at
  if not same and terms.version >= queue.terms_version then
    if terms.paused ~= queue.paused then
      standings_changed = true
    end
    unsaved = true
    queue.terms_version, queue.max_active, queue.paused = terms.version, terms.max_active, terms.paused
    queue.opens_at = opens_at
  end
  if terms.read_at > queue.read_at then
    unsaved = true
    queue.read_at, queue.offer = terms.read_at, terms.offer
    queue.ends_at, queue.ends_with = terms.ends_at or 0, terms.ends_with or 0
  end
  update_closed()
  update_offer()
  admit()
end

-- Gives an account a place. It must not have one. A number drawn counts if the account joined before the queue opens.
local function enter(account, number, joined, draw)
  local sort_key = number
  if draw and joined < queue.opens_at then
    sort_key = draw
    redis.call('ZADD', KEY.drawn, text(number), account)
    queue.drawn_to = math.max(queue.drawn_to, number)
  end
  if joined ~= joined_of(number) then
    redis.call('HSET', KEY.joined, account, string.format('%.0f', joined))
  end
  redis.call('ZADD', KEY.waiting, text(sort_key), account)
  unsaved = true
end

local function is_full()
  return redis.call('ZCARD', KEY.waiting) >= ARG.capacity
end

-- Whether the queue knows a place: `present`, `ended` or `forgotten`.
local function recall(place)
  local known = place_of(place.account_id)
  if known == place.number then
    return 'present'
  end
  local ended = tonumber(redis.call('HGET', KEY.ended, place.account_id) or '0')
  local superseded = math.max(known or 0, ended) >= place.number
  if superseded or queue.restores == 0 or not is_restorable(place.number, place.joined_at) then
    return 'ended'
  end
  return 'forgotten'
end

-- Notes that the holder of an admission is here. Its absence counts from now on, or from the end of its last hold; and so
-- does the time for which it does not use the admission, if it does now.
local function see(account, admission, uses)
  local counts_from = math.max(queue.now, admission.held)
  local no_show, idle = counts_from + ARG.no_show_micros, uses and ARG.idle_micros > 0 and idle_from(counts_from)
  if no_show >= admission.no_show + SEEN_INTERVAL or idle and idle >= idle_of(account) + SEEN_INTERVAL then
    admission.no_show, admission.idle = no_show, idle or nil
    write_admission(account, admission)
  end
end

-- Adds what a waiting place is given besides its position: the opening if that is still to come, and what an estimate
-- takes.
local function add_pace(values)
  if queue.closed == 1 then
    values.opens_at = queue.opens_at
  end
  values.paused, values.waits_for = queue.paused, queue.offer_now >= WAITS_FROM and queue.offer_now or nil
  values.rate_admissions, values.rate_seconds = text(queue.rate_admissions), text(queue.rate_seconds)
  return values
end

-- That the place of an account has ended, and why if the queue has, or if it was passed over.
local function expired(account, number)
  return {
    standing = 'expired', reason = number <= queue.ended_to and queue.ended_with or nil,
    passed_over = was_passed_over(account, number) and 1 or 0,
  }
end

-- Admits an account again that had been admitted before the queue was lost, if there is room.
local function readmit(account)
  local number, _, _, sort_key = place_of(account)
  if sort_key and number < queue.opened_at and redis.call('ZCARD', KEY.ending) < queue.max_active then
    redis.call('ZREM', KEY.waiting, account)
    admit_one(account, sort_key)
  end
end

-- Notes until when an account holds seats, if it is admitted. One that holds seats, or gives them up, is here.
local function keep_until(account, held)
  local admission = admission_of(account)
  if admission then
    local counts_from = math.max(queue.now, held)
    admission.held, admission.no_show = held, counts_from + ARG.no_show_micros
    admission.idle = idle_from(counts_from)
    if has_ended() then
      admission.admitted_until = math.min(admission.admitted_until, queue.now + CLOSING_MICROS)
      change_standings()
    end
    write_admission(account, admission)
    change_admissions()
  end
end

-- Where an account stands. Its holder asks, which is a visit, and may use the admission.
local function standing_of(account, uses)
  local admission = admission_of(account)
  if admission then
    if has_ended() and not holds(admission) then
      return expired(account, admission.number)
    end
    see(account, admission, uses)
    return {
      standing = 'active', admitted_until = admission.admitted_until, active_until = active_until(admission),
    }
  end
  local before = redis.call('ZRANK', KEY.waiting, account)
  if before then
    return add_pace({ standing = 'waiting', before = before })
  end
  return { standing = 'expired' }
end

-- When something happens next by itself; nothing for never. The present if this step left something to do.
local function due_at()
  local first = redis.call('ZRANGE', KEY.ending, 0, 0, 'WITHSCORES')
  local due = tonumber(first[2] or math.huge)
  if redis.call('ZCARD', KEY.waiting) > 0 then
    if queue.now < admits_from() then
      due = math.min(due, admits_from())
      if queue.now < queue.opens_at then
        due = math.min(due, queue.opens_at)
      end
    elseif admits() and redis.call('ZCARD', KEY.ending) < queue.max_active then
      due = math.min(due, queue.now)
    end
  end
  if queue.closing > 0 then
    due = math.min(due, queue.now)
  elseif queue.ends_at > queue.now and not has_ended() and (first[1] or redis.call('ZCARD', KEY.waiting) > 0) then
    due = math.min(due, queue.ends_at)
  end
  return due < math.huge and due or nil
end

-- Saves what has changed, publishes that standings have, and replies with `values` and with what every step replies.
local function save_and_reply(values)
  queue.admitted = queue.admitted + tally.admitted
  queue.no_shows = queue.no_shows + tally.no_shows
  if tally.admitted > 0 then
    local second = math.floor(queue.now / 1000000)
    local latest, count = string.match(redis.call('HGET', KEY.minute, second % 60) or '', '^(%d+) (%d+)$')
    local before = tonumber(latest or '-1') == second and tonumber(count) or 0
    redis.call('HSET', KEY.minute, second % 60, string.format('%.0f %.0f', second, before + tally.admitted))
  end
  if standings_changed then
    queue.version = queue.version + 1
  end
  if unsaved then
    local changes = {}
    for _, name in ipairs(FIELDS) do
      if queue[name] ~= stored[name] then
        changes[#changes + 1] = name
        changes[#changes + 1] = text(queue[name])
      end
    end
    if #changes > 0 then
      redis.call('HSET', KEY.queue, unpack(changes))
    end
  end
  if standings_changed then
    local message = string.format('concert=%s opened_at=%.0f version=%.0f', ARG.concert, queue.opened_at, queue.version)
    redis.call('PUBLISH', ARG.channel, message)
  end
  values.opened_at, values.version, values.now, values.due = queue.opened_at, queue.version, queue.now, due_at()
  values.admitted, values.no_shows, values.idle = tally.admitted, tally.no_shows, tally.idle
  values.expired = tally.expired
  return reply(values)
end
