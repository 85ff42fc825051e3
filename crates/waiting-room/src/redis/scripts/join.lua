if not load_queue() then
  return {}
end

local HOUR_MICROS = 3600000000

-- Counts one that joins from its network. If too many have within this hour, returns when the next one begins.
local function take_network()
  if ARG.joins_per_network_max == 0 or ARG.network == '' then
    return nil
  end
  local hour = queue.now - queue.now % HOUR_MICROS
  -- The hour stands beside the networks, under a name that none of them has.
  if redis.call('HGET', KEY.networks, 'hour') ~= text(hour) then
    redis.call('UNLINK', KEY.networks)
    redis.call('HSET', KEY.networks, 'hour', text(hour))
    redis.call('PEXPIRE', KEY.networks, string.format('%.0f', 2 * HOUR_MICROS / 1000))
  end
  if tonumber(redis.call('HGET', KEY.networks, ARG.network) or '0') >= ARG.joins_per_network_max then
    return hour + HOUR_MICROS
  end
  redis.call('HINCRBY', KEY.networks, ARG.network, 1)
  return nil
end

local account = ARG.account_id
advance(account)
set_terms(ARG)
local newly = 0
if has_ended() then
  local admission = admission_of(account)
  if not admission or not holds(admission) then
    return save_and_reply({ standing = 'ended', reason = queue.offer_now })
  end
elseif not place_of(account) then
  if is_full() then
    return save_and_reply({ standing = 'full' })
  end
  local again_at = take_network()
  if again_at then
    return save_and_reply({ standing = 'network_full', again_at = again_at })
  end
  newly = 1
  queue.last_number = math.max(queue.last_number + 1, queue.now)
  -- The number of the place has the time within the millisecond, so that the time need not be kept beside it.
  local joined = joined_of(queue.now)
  enter(account, queue.last_number, joined, queue.now < queue.opens_at and ARG.draw or nil)
  admit()
end
local values = standing_of(account)
values.number, values.joined_at = place_of(account)
values.newly = newly
return save_and_reply(values)
