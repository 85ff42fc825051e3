-- Writes a line into the list of lines, and tells since when this Redis is ours; nothing where there are too many lines.
-- KEYS: marker, due, checked, lengths. ARGV: now, line, how many there may be.
local now, concert = ARGV[1], ARGV[2]
redis.call('SET', KEYS[1], now, 'NX')
if not redis.call('ZSCORE', KEYS[3], concert) then
  if redis.call('ZCARD', KEYS[3]) >= tonumber(ARGV[3]) then
    return {}
  end
  redis.call('ZADD', KEYS[3], now, concert)
  redis.call('ZADD', KEYS[4], 'NX', 0, concert)
end
return { tonumber(redis.call('GET', KEYS[1])) }
