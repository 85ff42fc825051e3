-- Writes down how a line that was looked at is. KEYS: marker, due, checked, lengths. ARGV: line, until when it was claimed
-- (0 where it was not), when something is due there (0 for never), how many wait (-1 where the line is gone).
local concert, claimed_until, due, waiting = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
if waiting < 0 then
  redis.call('ZREM', KEYS[2], concert)
  redis.call('ZREM', KEYS[3], concert)
  redis.call('ZREM', KEYS[4], concert)
  return
end
redis.call('ZADD', KEYS[4], 'XX', waiting, concert)
local known = redis.call('ZSCORE', KEYS[2], concert)
-- What was written meanwhile by somebody who saw the line later stands, unless it is later.
if known and tonumber(known) == claimed_until then
  redis.call('ZREM', KEYS[2], concert)
end
if due > 0 then
  redis.call('ZADD', KEYS[2], 'LT', ARGV[3], concert)
end
