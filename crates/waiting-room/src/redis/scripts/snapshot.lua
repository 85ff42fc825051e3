-- What an instance needs to answer for the line by itself for a moment. ARGV: when the line began of which it has one;
-- which admissions it knows; how many it knows to have left the line.
if not find() then
  return {}
end
-- The first ones may be admitted any moment. Of the others the turns of some are told, the fewer the further.
local NEAR, STEP = math.max(512, line.max_active), 16
local ADMITTED_MAX = 4096

settle()
local waiting = redis.call('ZCARD', WAITING)
local pivots, rank = {}, NEAR
while rank < waiting do
  pivots[#pivots + 1] = rank
  pivots[#pivots + 1] = tonumber(redis.call('ZRANGE', WAITING, rank, rank, 'WITHSCORES')[2])
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
  'snapshot', waiting, line.admissions_version, line.gone, { pace() }, tops, pivots, admitted, gone,
})
