#!lua flags=no-writes
-- A document and what there is of its view in one instant: of the generation that readers read,
-- or of the one that is being filled while there is none.
--
-- KEYS  meta
-- ARGV  what the view's keys begin with, key, field of the generation read, of the one filled,
--       fields of the position …
-- Answers {{generation read, generation filled, position …}, document}.

local told = redis.call('HMGET', KEYS[1], unpack(ARGV, 3))
local generation = told[1] or told[2]
if not generation then return { told, false } end
local docs = ARGV[1] .. string.match(generation, '^%d+') .. ':docs'
return { told, redis.call('HGET', docs, ARGV[2]) }
