-- Removes documents of a range that are not among those given, at most so many keys looked at;
-- for ranges with more stale keys than a step may remove.
--
-- KEYS  meta, docs, keys and, if the view has indexes, entries, index
-- ARGV  epoch, token, seq, lease in ms, lower bound, upper bound, most keys, given key …
-- Answers {'swept', last key looked at ('' when the range is done)} or as a step does.

local found = wrong_type(KEYS[1], 'hash')
if found then return { 'type', KEYS[1], found } end
local owner = redis.call('HMGET', KEYS[1], 'epoch', 'token', 'seq')
if owner[1] ~= ARGV[1] or owner[2] ~= ARGV[2] or owner[3] ~= ARGV[3] then
  return { 'owner', owner[1] or '', owner[2] or '', owner[3] or '' }
end
for i = 2, #KEYS do
  local type = i % 2 == 0 and 'hash' or 'zset'
  found = wrong_type(KEYS[i], type)
  if found then return { 'type', KEYS[i], found } end
end

local keys_max = tonumber(ARGV[7])
local given = {}
for i = 8, #ARGV do given[ARGV[i]] = true end
local here = redis.call('ZRANGEBYLEX', KEYS[3], ARGV[5], ARGV[6], 'LIMIT', 0, keys_max)
local stale = {}
for _, key in ipairs(here) do
  if not given[key] then stale[#stale + 1] = key end
end
remove(KEYS[2], KEYS[3], KEYS[4], KEYS[5], stale)
redis.call('HSET', KEYS[1], 'lease', string.format('%.0f', now_ms() + tonumber(ARGV[4])))
return { 'swept', #here == keys_max and here[#here] or '' }
