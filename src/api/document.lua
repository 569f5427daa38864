#!lua flags=no-writes
-- Documents and what there is of their view in one instant: of the generation that readers read,
-- or of the one that is being filled while there is none.
--
-- KEYS  meta
-- ARGV  what the view's keys begin with, bytes of documents that are enough, number of fields ·
--       field of the generation read, of the one filled, fields of the position …, key …
-- Answers {{generation read, generation filled, position …}, {document …}}: of the keys in front,
-- at least of one.

local keys_from = 4 + tonumber(ARGV[3])
local told = redis.call('HMGET', KEYS[1], unpack(ARGV, 4, keys_from - 1))
local generation = told[1] or told[2]
local docs = generation and ARGV[1] .. string.match(generation, '^%d+') .. ':docs'
local documents, bytes, enough = {}, 0, tonumber(ARGV[2])
for i = keys_from, #ARGV do
  local document = docs and redis.call('HGET', docs, ARGV[i])
  documents[#documents + 1] = document or false
  bytes = bytes + #(document or '')
  if bytes >= enough then break end
end
return { told, documents }
