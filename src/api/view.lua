#!lua flags=no-writes
-- What scripts of readers begin with: which view answers for a name, and what there is of it.
--
-- KEYS  meta
-- ARGV  what the keys of all views begin with, the name; of `meta`: the prefix of the field of the
--       view that answers, those of its generation read, of the one filled and of what is certain of
--       it, the fields of what all contain (three); more

local view = redis.call('HGET', KEYS[1], ARGV[3] .. ARGV[2]) or ARGV[2]
local told = redis.call('HMGET', KEYS[1], ARGV[4] .. view, ARGV[5] .. view, ARGV[6] .. view,
  ARGV[7], ARGV[8], ARGV[9])

-- What the keys of a generation begin with, as it stands in `meta`.
local function keys_of(generation)
  return ARGV[1] .. view .. ':' .. string.match(generation, '^%d+') .. ':'
end
