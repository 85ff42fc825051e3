-- What an instance needs to answer for the line by itself for a moment. ARGV: when the line began of which it has one;
-- which admissions it knows; how many it knows to have left the line.
if not find() then
  return {}
end
-- The first ones are told exactly; of the others one in so many, the fewer the further.
local EXACT, STEP = 512, 16
local ADMITTED_MAX = 4096

settle()
local function turns(first, last)
  local scores, found = {}, redis.call('ZRANGE', WAITING, first, last, 'WITHSCORES')
  for index = 2, #found, 2 do
    scores[#scores + 1] = tonumber(found[index])
  end
  return scores
end

local waiting = redis.call('ZCARD', WAITING)
local pivots, rank = {}, EXACT
while rank < waiting do
  pivots[#pivots + 1] = rank
  pivots[#pivots + 1] = turns(rank, rank)[1]
  if rank == waiting - 1 then
    break
  end
  rank = math.min(rank + math.floor(rank / STEP), waiting - 1)
end

local same = tonumber(ARGV[9]) == line.opened
local admitted = 0
if not same or tonumber(ARGV[10]) ~= line.admissions_version then
  admitted = {}
  -- Those who may stay longest.
  for _, account in ipairs(redis.call('ZREVRANGE', ENDING, 0, ADMITTED_MAX - 1)) do
    local admission = admission_of(account)
    if admission then
      admitted[#admitted + 1] = { account, admission.place, admission.admitted_until, active_until(admission) }
    end
  end
end

local missed = line.gone - (same and tonumber(ARGV[11]) or 0)
local gone = missed > 0 and redis.call('LRANGE', GONE, 0, missed - 1) or {}
local tops = { line.last, line.emptied, line.drawn_top, line.admitted_top }
return answer({
  'snapshot', waiting, line.admissions_version, line.gone, { pace() }, tops, turns(0, EXACT - 1), pivots, admitted, gone,
})
