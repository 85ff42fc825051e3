-- Opens a line where there is none. ARGV: when this Redis became ours.
if not find() then
  line, stored = {}, {}
  for _, name in ipairs(FIELDS) do
    line[name] = 0
  end
  line.now = tonumber(ARGV[1])
  line.opened, line.last, line.rate_until, line.restores = line.now, line.now - 1, line.now, 1
  local ours_since = tonumber(ARGV[9])
  if line.now < ours_since + REFORM then
    line.reformed = ours_since + REFORM
  end
  -- What an earlier line may have left behind where only its head was lost.
  redis.call('UNLINK', WAITING, DRAWN, JOINED, ACTIVE, ENDING, OVER, MINUTE, GONE)
  alter()
end
return answer({ 'opened' })
