-- Renews the lease, or gives the pipeline back when given 0 ms.
--
-- KEYS  meta
-- ARGV  epoch, token, seq, lease in ms
-- Answers {'done'} or as a step does.

local found = wrong_type(KEYS[1], 'hash')
if found then return { 'type', KEYS[1], found } end
local owner = redis.call('HMGET', KEYS[1], 'epoch', 'token', 'seq')
if owner[1] ~= ARGV[1] or owner[2] ~= ARGV[2] or owner[3] ~= ARGV[3] then
  return { 'owner', owner[1] or '', owner[2] or '', owner[3] or '' }
end
local lease = tonumber(ARGV[4])
local ends = lease > 0 and now_ms() + lease or 0
redis.call('HSET', KEYS[1], 'lease', string.format('%.0f', ends))
return { 'done' }
