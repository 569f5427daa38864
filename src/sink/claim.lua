-- Claims the pipeline unless another's lease lives.
--
-- KEYS  meta, scratch
-- ARGV  new token, token held before ('' for none), lowest epoch known, lease in ms
-- Answers {'claimed', epoch, seq}, {'held', ms left} or {'type', key, type}.

local meta, scratch = KEYS[1], KEYS[2]
local found = wrong_type(meta, 'hash')
if found then return { 'type', meta, found } end
local owner = redis.call('HMGET', meta, 'epoch', 'token', 'lease')
local token, lease = owner[2] or '', tonumber(owner[3] or 0)
local now = now_ms()
if token ~= ARGV[1] and token ~= ARGV[2] and lease > now then return { 'held', lease - now } end

-- What steps will call is tried now: a user who may not call all of it must not begin.
redis.call('UNLINK', scratch)
redis.call('HSET', scratch, 'a', 1)
redis.call('HMGET', scratch, 'a')
redis.call('HDEL', scratch, 'a')
redis.call('ZADD', scratch, 0, 'a', 0, 'b')
redis.call('ZRANGEBYLEX', scratch, '-', '+', 'LIMIT', 0, 1)
redis.call('ZLEXCOUNT', scratch, '-', '+')
redis.call('ZREM', scratch, 'a')
redis.call('UNLINK', scratch)
redis.call('XADD', scratch, 'MAXLEN', '~', 1, '*', 'a', '')
redis.call('UNLINK', scratch)

-- The same claim once more, its reply having been lost, changes nothing.
local epoch = tonumber(owner[1] or 0)
if token ~= ARGV[1] then epoch = math.max(epoch, tonumber(ARGV[3])) + 1 end
redis.call('HSETNX', meta, 'seq', 0)
redis.call('HSET', meta, 'epoch', string.format('%.0f', epoch), 'token', ARGV[1],
  'lease', string.format('%.0f', now + tonumber(ARGV[4])))
return { 'claimed', string.format('%.0f', epoch), redis.call('HGET', meta, 'seq') }
