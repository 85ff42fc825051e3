-- What every step on a queue shares. A step runs alone in Redis: nothing comes between its reading and its writing.
--
-- Times are microseconds since 1970, and places count from them: all are below 2^53, which a number here holds exactly.
-- An account is the 16 bytes of its id. The queue is kept with 0 for a missing time.

-- Numbers of a draw are below this, and places are not.
local DRAW_END = 2 ^ 50
-- The most that one step ends or admits; the next step goes on.
local WORK_MAX = 256
-- How many of those who left while they waited are kept, the latest ones.
local LEFT_MAX = 1024
-- How many of those who were passed over are kept, the latest ones, as in `PassedOver`; and for how long after the last.
local PASSED_OVER_MAX = 4096
local PASSED_OVER_MICROS = 3600000000
-- As in `AdmissionRate`.
local RATE_MEMORY = 120
-- An account that asks again and again is written down as seen this often, so that most polls write nothing.
local SEEN_INTERVAL = 1000000
-- What a sale has for its queue: 0 for seats, for nothing any more the number of the reason, and from this one on, for
-- nothing yet, the number of what is waited for.
local WAITS_FROM = 8
-- How many places of an earlier queue are remembered at once as ended; if there are more, it restores nothing any more.
local REMEMBERED_MAX = 4096
-- As `CLOSING_SECONDS`.
local CLOSING_MICROS = 5000000
-- As `OPENED_AHEAD_MICROS`.
local OPENED_AHEAD = 2000000

local FIELDS = {
  'opened_at', 'last_number', 'now', 'version', 'admissions_version', 'reformed_at', 'restores', 'emptied_to', 'closed',
  'terms_version', 'max_active', 'paused', 'opens_at', 'rate_admissions', 'rate_seconds', 'rate_until',
  'admitted', 'no_shows', 'left', 'drawn_to', 'admitted_to',
  -- The latest reading of the sale.
  'read_at', 'offer', 'ends_at', 'ends_with',
  -- What the sale had when the queue was last advanced; why it has ended the last time, and all places up to which
  -- number; and where the closing of admissions goes on, from 1.
  'offer_now', 'ended_with', 'ended_to', 'closing',
}

local queue, stored
local freed, budget = 0, WORK_MAX
local standings_changed, unsaved = false, false
local tally = { admitted = 0, no_shows = 0, idle = 0, expired = 0 }

local function text(number)
  return string.format('%.17g', number)
end

-- Reads the queue. False if there is none: no step but `open` makes one.
local function load_queue()
  local values = redis.call('HMGET', KEY.queue, unpack(FIELDS))
  if not values[1] then
    return false
  end
  queue, stored = {}, {}
  for index, name in ipairs(FIELDS) do
    queue[name] = tonumber(values[index] or '0')
    stored[name] = queue[name]
  end
  queue.now = math.max(ARG.now, queue.now)
  return true
end

local function admits_from()
  return math.max(queue.reformed_at, queue.opens_at)
end

-- Lets time pass for the measure of the rate.
local function pass(now, waited)
  local passed = math.max((now - queue.rate_until) / 1000000, 0)
  queue.rate_until = math.max(queue.rate_until, now)
  if waited then
    local faded = math.exp(-passed / RATE_MEMORY)
    queue.rate_admissions = queue.rate_admissions * faded
    queue.rate_seconds = queue.rate_seconds * faded + RATE_MEMORY * (1 - faded)
  end
end

local function change_standings()
  standings_changed, unsaved = true, true
end

local function update_closed()
  local closed = queue.now < queue.opens_at and 1 or 0
  if closed ~= queue.closed then
    queue.closed = closed
    change_standings()
  end
end

local function has_ended()
  return queue.offer_now > 0 and queue.offer_now < WAITS_FROM
end

-- Whether admissions that are free are given.
local function admits()
  return queue.paused == 0 and queue.offer_now == 0
end

local function any_restorable()
  return queue.now < queue.opened_at + ARG.restorable_micros
end

local function is_restorable(number, joined)
  return number < queue.opened_at and queue.now < joined + ARG.restorable_micros
end

local function admission_of(account)
  local packed = redis.call('HGET', KEY.active, account)
  if not packed then
    return nil
  end
  local number, joined, admitted_until, no_show, held = string.match(packed, '^(%d+) (%d+) (%d+) (%d+) (%d+)$')
  if not number then
    error('a damaged admission')
  end
  return {
    number = tonumber(number), joined = tonumber(joined), admitted_until = tonumber(admitted_until),
    no_show = tonumber(no_show), held = tonumber(held),
  }
end

local function active_until(admission)
  return math.max(admission.admitted_until, admission.held)
end

local function holds(admission)
  return queue.now < admission.held
end

-- When an admission that is used or held at this time passes on unless it is used again.
local function idle_from(used)
  return ARG.idle_micros > 0 and used + ARG.idle_micros or math.huge
end

-- When the admission of an account passes on. It is kept apart, since instances of the version before know only the rest
-- of an admission; one that they gave never passes on.
local function idle_of(account)
  local idle = ARG.idle_micros > 0 and redis.call('HGET', KEY.idle, account)
  return idle and tonumber(idle) or math.huge
end

local function write_admission(account, admission)
  local packed = string.format('%.0f %.0f %.0f %.0f %.0f', admission.number, admission.joined, admission.admitted_until,
    admission.no_show, admission.held)
  redis.call('HSET', KEY.active, account, packed)
  local idle = admission.idle
  if not idle then
    idle = idle_of(account)
  elseif idle < math.huge then
    redis.call('HSET', KEY.idle, account, string.format('%.0f', idle))
  end
  redis.call('ZADD', KEY.ending, text(math.min(admission.no_show, active_until(admission), idle)), account)
end

-- Instances have to learn of a change of an admission.
local function change_admissions()
  queue.admissions_version, unsaved = queue.admissions_version + 1, true
end

-- When an account joined, to the millisecond, as the number of its place says.
local function joined_of(number)
  return number - number % 1000
end

-- The number of the place of an account that waits, and when it joined.
local function waiting_of(account, sort_key)
  local number = sort_key
  if sort_key < DRAW_END then
    number = tonumber(redis.call('ZSCORE', KEY.drawn, account))
  end
  return number, tonumber(redis.call('HGET', KEY.joined, account) or joined_of(number))
end

-- The number of the place of an account, when it joined, and its admission or its sort key. Nothing if it has no place.
local function place_of(account)
  local admission = admission_of(account)
  if admission then
    return admission.number, admission.joined, admission, nil
  end
  local sort_key = redis.call('ZSCORE', KEY.waiting, account)
  if not sort_key then
    return nil
  end
  sort_key = tonumber(sort_key)
  local number, joined = waiting_of(account, sort_key)
  return number, joined, nil, sort_key
end

-- Forgets what is kept beside `waiting` of an account that is no longer there.
local function forget_waiting(account, sort_key)
  if sort_key < DRAW_END then
    redis.call('ZREM', KEY.drawn, account)
  end
  redis.call('HDEL', KEY.joined, account)
end

local function remember_ended(account, number)
  if queue.restores == 0 or not any_restorable() then
    return
  end
  local known = redis.call('HLEN', KEY.ended)
  if known >= ARG.capacity then
    queue.restores, unsaved = 0, true
    redis.call('UNLINK', KEY.ended)
    return
  end
  local latest = tonumber(redis.call('HGET', KEY.ended, account) or '0')
  if number > latest then
    redis.call('HSET', KEY.ended, account, string.format('%.0f', number))
  end
  if known == 0 then
    redis.call('PEXPIRE', KEY.ended, string.format('%.0f', ARG.restorable_micros / 1000))
  end
end

-- Ends the place of an account, if it has one.
local function end_place(account)
  local number, _, admission, sort_key = place_of(account)
  if not number then
    return
  end
  if admission then
    redis.call('HDEL', KEY.active, account)
    redis.call('HDEL', KEY.idle, account)
    redis.call('ZREM', KEY.ending, account)
    freed = freed + 1
    change_admissions()
  else
    redis.call('ZREM', KEY.waiting, account)
    forget_waiting(account, sort_key)
    redis.call('LPUSH', KEY.left, account .. string.format('%.0f', number))
    redis.call('LTRIM', KEY.left, 0, LEFT_MAX - 1)
    queue.left = queue.left + 1
  end
  change_standings()
  remember_ended(account, number)
end

local function admit_one(account, sort_key)
  local number, joined = waiting_of(account, sort_key)
  forget_waiting(account, sort_key)
  write_admission(account, {
    number = number, joined = joined, admitted_until = queue.now + ARG.admission_micros,
    no_show = queue.now + ARG.no_show_micros, idle = idle_from(queue.now), held = 0,
  })
  change_admissions()
  queue.admitted_to = math.max(queue.admitted_to, sort_key)
  tally.admitted = tally.admitted + 1
  change_standings()
end

-- Admits the first in the queue, as many as there is room for.
local function admit()
  local just_freed = freed
  freed = 0
  if not admits() or queue.now < admits_from() then
    return
  end
  local room = math.min(queue.max_active - redis.call('ZCARD', KEY.ending), budget)
  if room <= 0 then
    return
  end
  local popped = redis.call('ZPOPMIN', KEY.waiting, room)
  local count = #popped / 2
  for index = 1, #popped, 2 do
    admit_one(popped[index], tonumber(popped[index + 1]))
  end
  budget = budget - count
  -- Filling free places says nothing about how fast the queue moves: only those that follow another one count.
  queue.rate_admissions = queue.rate_admissions + math.min(count, just_freed)
end

-- The place of an account, as it is kept of those who were passed over.
local function passed_over_entry(account, number)
  return account .. string.format('%.0f', number)
end

-- Keeps that a place was passed over: its holder hears it when it comes back.
local function remember_passed_over(account, number)
  redis.call('ZADD', KEY.passed_over, text(queue.now), passed_over_entry(account, number))
  redis.call('ZREMRANGEBYRANK', KEY.passed_over, 0, -PASSED_OVER_MAX - 1)
  redis.call('PEXPIRE', KEY.passed_over, string.format('%.0f', PASSED_OVER_MICROS / 1000))
end

local function was_passed_over(account, number)
  return redis.call('ZSCORE', KEY.passed_over, passed_over_entry(account, number)) ~= false
end

-- Ends an admission whose time is over.
local function end_overdue(account)
  local admission = admission_of(account)
  if not admission then
    redis.call('ZREM', KEY.ending, account)
    return
  end
  -- Before Redis answered this instance no visit could be written down, so there may have been one.
  local no_show = math.max(admission.no_show, ARG.answered_since + ARG.no_show_micros)
  local idle = math.max(idle_of(account), idle_from(ARG.answered_since))
  local lapses = active_until(admission)
  if math.min(no_show, idle, lapses) > queue.now then
    admission.no_show, admission.idle = no_show, idle
    write_admission(account, admission)
    return
  elseif lapses <= no_show and lapses <= idle then
    tally.expired = tally.expired + 1
  else
    remember_passed_over(account, admission.number)
    if no_show <= idle then
      tally.no_shows = tally.no_shows + 1
    else
      tally.idle = tally.idle + 1
    end
  end
  end_place(account)
end
