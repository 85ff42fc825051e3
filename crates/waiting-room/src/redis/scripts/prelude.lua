-- What every step on a line shares. A step runs alone in Redis: nothing comes between its reading and its writing.
--
-- Times are microseconds since 1970, and places count from them: all are below 2^53, which a number here holds exactly.
-- An account is the 16 bytes of its id. A missing time is 0.

local META, WAITING, DRAWN, JOINED, ACTIVE, ENDING, OVER, MINUTE, GONE = unpack(KEYS)
local CAPACITY, ADMISSION, NO_SHOW = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local REFORM, RESTORABLE = tonumber(ARGV[5]), tonumber(ARGV[6])
local CHANNEL, CONCERT = ARGV[7], ARGV[8]

-- Numbers of a draw are below this, and places are not.
local DRAW_END = 2 ^ 50
-- The most that one step ends or admits; the next step goes on.
local WORK_MAX = 256
-- How many of those who left the line most recently are known.
local GONE_MAX = 1024
-- As in the memory's measure of the rate.
local RATE_MEMORY = 120

local FIELDS = {
  'opened', 'last', 'now', 'version', 'admissions_version', 'reformed', 'restores', 'emptied', 'closed',
  'terms', 'max_active', 'paused', 'opens', 'rate_admissions', 'rate_seconds', 'rate_until',
  'admitted', 'no_shows', 'gone', 'drawn_top', 'admitted_top',
}

local line, stored
local freed, budget = 0, WORK_MAX
local altered, changed = false, false
local tally = { admitted = 0, no_shows = 0, expired = 0 }

local function text(number)
  return string.format('%.17g', number)
end

-- Reads the line. False where there is none: no step but opening makes one.
local function find()
  local values = redis.call('HMGET', META, unpack(FIELDS))
  if not values[1] then
    return false
  end
  line, stored = {}, {}
  for index, name in ipairs(FIELDS) do
    line[name] = tonumber(values[index] or '0')
    stored[name] = line[name]
  end
  line.now = math.max(tonumber(ARGV[1]), line.now)
  return true
end

local function admits_from()
  return math.max(line.reformed, line.opens)
end

-- Lets time pass for the measure of the rate.
local function pass(now, waited)
  local passed = math.max((now - line.rate_until) / 1000000, 0)
  line.rate_until = math.max(line.rate_until, now)
  if waited then
    local faded = math.exp(-passed / RATE_MEMORY)
    line.rate_admissions = line.rate_admissions * faded
    line.rate_seconds = line.rate_seconds * faded + RATE_MEMORY * (1 - faded)
  end
end

local function alter()
  altered, changed = true, true
end

local function see_whether_closed()
  local closed = line.now < line.opens and 1 or 0
  if closed ~= line.closed then
    line.closed = closed
    alter()
  end
end

local function remembers()
  return line.now < line.opened + RESTORABLE
end

local function is_restorable(place, joined)
  return place < line.opened and line.now < joined + RESTORABLE
end

local function admission_of(account)
  local packed = redis.call('HGET', ACTIVE, account)
  if not packed then
    return nil
  end
  local place, joined, admitted_until, no_show, held = string.match(packed, '^(%d+) (%d+) (%d+) (%d+) (%d+)$')
  if not place then
    error('a damaged admission')
  end
  return {
    place = tonumber(place), joined = tonumber(joined), admitted_until = tonumber(admitted_until),
    no_show = tonumber(no_show), held = tonumber(held),
  }
end

local function active_until(admission)
  return math.max(admission.admitted_until, admission.held)
end

local function ends_at(admission)
  if admission.no_show > 0 then
    return math.min(admission.no_show, active_until(admission))
  end
  return active_until(admission)
end

local function write_admission(account, admission)
  local packed = string.format('%.0f %.0f %.0f %.0f %.0f', admission.place, admission.joined, admission.admitted_until,
    admission.no_show, admission.held)
  redis.call('HSET', ACTIVE, account, packed)
  redis.call('ZADD', ENDING, text(ends_at(admission)), account)
  line.admissions_version = line.admissions_version + 1
  changed = true
end

-- When somebody joined, as the place says: to the millisecond.
local function joined_of(place)
  return place - place % 1000
end

-- The place of somebody who waits, and when it joined.
local function waiting_of(account, turn)
  local place = turn
  if turn < DRAW_END then
    place = tonumber(redis.call('ZSCORE', DRAWN, account))
  end
  return place, tonumber(redis.call('HGET', JOINED, account) or joined_of(place))
end

-- The place of an account, when it joined, and its admission or its turn. Nothing where it is not here.
local function ticket_of(account)
  local admission = admission_of(account)
  if admission then
    return admission.place, admission.joined, admission, nil
  end
  local turn = redis.call('ZSCORE', WAITING, account)
  if not turn then
    return nil
  end
  turn = tonumber(turn)
  local place, joined = waiting_of(account, turn)
  return place, joined, nil, turn
end

-- Forgets what is known of somebody who is no longer in WAITING.
local function forget_waiting(account, turn)
  if turn < DRAW_END then
    redis.call('ZREM', DRAWN, account)
  end
  redis.call('HDEL', JOINED, account)
end

local function remember_over(account, place)
  if line.restores == 0 or not remembers() then
    return
  end
  local known = redis.call('HLEN', OVER)
  if known >= CAPACITY then
    line.restores, changed = 0, true
    redis.call('UNLINK', OVER)
    return
  end
  local latest = tonumber(redis.call('HGET', OVER, account) or '0')
  if place > latest then
    redis.call('HSET', OVER, account, string.format('%.0f', place))
  end
  if known == 0 then
    redis.call('PEXPIRE', OVER, string.format('%.0f', RESTORABLE / 1000))
  end
end

-- Takes an account out of the line or out of the admitted ones, if it is there.
local function finish(account)
  local place, _, admission, turn = ticket_of(account)
  if not place then
    return
  end
  if admission then
    redis.call('HDEL', ACTIVE, account)
    redis.call('ZREM', ENDING, account)
    freed = freed + 1
    line.admissions_version = line.admissions_version + 1
  else
    redis.call('ZREM', WAITING, account)
    forget_waiting(account, turn)
    redis.call('LPUSH', GONE, account .. string.format('%.0f', place))
    redis.call('LTRIM', GONE, 0, GONE_MAX - 1)
    line.gone = line.gone + 1
  end
  alter()
  remember_over(account, place)
end

local function admit_one(account, turn)
  local place, joined = waiting_of(account, turn)
  forget_waiting(account, turn)
  write_admission(account, {
    place = place, joined = joined, admitted_until = line.now + ADMISSION, no_show = line.now + NO_SHOW, held = 0,
  })
  line.admitted_top = math.max(line.admitted_top, turn)
  tally.admitted = tally.admitted + 1
  alter()
end

-- Admits the first ones in line, as many as there is room for.
local function admit()
  local just_freed = freed
  freed = 0
  if line.paused == 1 or line.now < admits_from() then
    return
  end
  local room = math.min(line.max_active - redis.call('ZCARD', ENDING), budget)
  if room <= 0 then
    return
  end
  local popped = redis.call('ZPOPMIN', WAITING, room)
  local count = #popped / 2
  for index = 1, #popped, 2 do
    admit_one(popped[index], tonumber(popped[index + 1]))
  end
  budget = budget - count
  -- Only those who took the place of another one tell how fast the line moves; filling up at the start does not.
  line.rate_admissions = line.rate_admissions + math.min(count, just_freed)
end

-- Ends an admission whose time is over.
local function lapse(account, ended_at)
  local admission = admission_of(account)
  if not admission then
    redis.call('ZREM', ENDING, account)
    return
  end
  if admission.no_show == ended_at then
    tally.no_shows = tally.no_shows + 1
  else
    tally.expired = tally.expired + 1
  end
  finish(account)
end

-- Ends what is due, the given account's admission first, and admits who is next.
local function settle(account)
  local from = admits_from()
  local waited = line.paused == 0 and redis.call('ZCARD', WAITING) > 0
  pass(math.min(line.now, from), false)
  pass(line.now, waited and line.now > from)
  see_whether_closed()
  if account then
    local ended_at = tonumber(redis.call('ZSCORE', ENDING, account) or math.huge)
    if ended_at <= line.now then
      lapse(account, ended_at)
    end
  end
  local due = redis.call('ZRANGEBYSCORE', ENDING, '-inf', text(line.now), 'WITHSCORES', 'LIMIT', 0, budget)
  for index = 1, #due, 2 do
    lapse(due[index], tonumber(due[index + 1]))
  end
  admit()
end

local function set_terms(version, max_active, paused, opens)
  local same = version == line.terms and max_active == line.max_active and paused == line.paused and opens == line.opens
  if same or version < line.terms then
    return
  end
  if paused ~= line.paused then
    altered = true
  end
  changed = true
  line.terms, line.max_active, line.paused, line.opens = version, max_active, paused, opens
  see_whether_closed()
  admit()
end

-- Puts a ticket in line. The account must not be here. A number counts for who joins before the line opens; a negative
-- one is none.
local function enter(account, place, joined, number)
  local turn = place
  if number >= 0 and joined < line.opens then
    turn = number
    redis.call('ZADD', DRAWN, text(place), account)
    line.drawn_top = math.max(line.drawn_top, place)
  end
  if joined ~= joined_of(place) then
    redis.call('HSET', JOINED, account, string.format('%.0f', joined))
  end
  redis.call('ZADD', WAITING, text(turn), account)
  changed = true
end

local function is_full()
  return redis.call('ZCARD', WAITING) >= CAPACITY
end

-- What the line makes of a ticket: here, over or forgotten.
local function recollect(account, place, joined)
  local known = ticket_of(account)
  if known == place then
    return 'here'
  end
  local ended = tonumber(redis.call('HGET', OVER, account) or '0')
  local superseded = math.max(known or 0, ended) >= place
  if superseded or line.restores == 0 or not is_restorable(place, joined) then
    return 'over'
  end
  return 'forgotten'
end

-- Changes the admission of an account, if it has one.
local function change_admission(account, change)
  local admission = admission_of(account)
  if admission then
    local no_show, held = admission.no_show, admission.held
    change(admission)
    if admission.no_show ~= no_show or admission.held ~= held then
      write_admission(account, admission)
    end
  end
end

local EXPIRED, FORGOTTEN, FULL = { 'expired' }, { 'forgotten' }, { 'full' }

-- What somebody is told who waits, besides the number of people before: the opening if that is still to come, whether
-- nobody is told an estimate, and the measure of the rate.
local function pace()
  return line.closed == 1 and line.opens or 0, line.paused, text(line.rate_admissions), text(line.rate_seconds)
end

-- Where an account stands. Its holder asks, which is a sign of life.
local function standing_of(account)
  change_admission(account, function(admission)
    admission.no_show = 0
  end)
  local admission = admission_of(account)
  if admission then
    return { 'active', admission.admitted_until, active_until(admission) }
  end
  local before = redis.call('ZRANK', WAITING, account)
  if before then
    return { 'waiting', before, pace() }
  end
  return EXPIRED
end

-- When something happens next by itself; 0 for never. The present where a step left something to do.
local function due_at()
  local first = redis.call('ZRANGE', ENDING, 0, 0, 'WITHSCORES')
  local due = tonumber(first[2] or math.huge)
  if redis.call('ZCARD', WAITING) > 0 then
    if line.now < admits_from() then
      due = math.min(due, admits_from())
      if line.now < line.opens then
        due = math.min(due, line.opens)
      end
    elseif line.paused == 0 and redis.call('ZCARD', ENDING) < line.max_active then
      due = math.min(due, line.now)
    end
  end
  return due == math.huge and 0 or due
end

-- Writes what has changed, tells those who watch, and answers.
local function answer(said)
  line.admitted = line.admitted + tally.admitted
  line.no_shows = line.no_shows + tally.no_shows
  if tally.admitted > 0 then
    local second = math.floor(line.now / 1000000)
    local latest, count = string.match(redis.call('HGET', MINUTE, second % 60) or '', '^(%d+) (%d+)$')
    local before = tonumber(latest or '-1') == second and tonumber(count) or 0
    redis.call('HSET', MINUTE, second % 60, string.format('%.0f %.0f', second, before + tally.admitted))
  end
  if altered then
    line.version = line.version + 1
  end
  if changed then
    local values = {}
    for _, name in ipairs(FIELDS) do
      if line[name] ~= stored[name] then
        values[#values + 1] = name
        values[#values + 1] = text(line[name])
      end
    end
    if #values > 0 then
      redis.call('HSET', META, unpack(values))
    end
  end
  if altered then
    redis.call('PUBLISH', CHANNEL, string.format('%s %.0f %.0f', CONCERT, line.opened, line.version))
  end
  return {
    line.opened, line.version, due_at(), line.now, tally.admitted, tally.no_shows, tally.expired, said,
  }
end
