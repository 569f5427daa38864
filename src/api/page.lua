#!lua flags=no-writes
-- A page of documents of the generation that readers read, and what there is of its view in one
-- instant.
--
-- KEYS  meta
-- ARGV  what the view's keys begin with, kind of the sorted set of members that end in a key,
--       lower bound, upper bound, most documents, most bytes of documents (one document may have
--       more), length of what precedes the key, field of the generation read, of the one filled,
--       fields of the position …
-- Answers {{generation read, generation filled, position …}, 1 if more follow, keys, documents}.

local limit, bytes_max, prefix = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
local told = redis.call('HMGET', KEYS[1], unpack(ARGV, 8))
if not told[1] then return { told, 0, {}, {} } end
local view = ARGV[1] .. string.match(told[1], '^%d+') .. ':'
local docs = view .. 'docs'
local members =
  redis.call('ZRANGEBYLEX', view .. ARGV[2], ARGV[3], ARGV[4], 'LIMIT', 0, limit + 1)
local more = #members > limit and 1 or 0
members[limit + 1] = nil
if prefix > 0 then
  for i, member in ipairs(members) do members[i] = string.sub(member, prefix + 1) end
end

-- Lengths first, so that no page takes more memory here than it may.
local count, bytes = 0, 0
for i, key in ipairs(members) do
  bytes = bytes + redis.call('HSTRLEN', docs, key)
  if bytes > bytes_max and i > 1 then
    more = 1
    break
  end
  count = i
end
for i = #members, count + 1, -1 do members[i] = nil end

-- Runs of arguments stay below what Lua can unpack (8000).
local documents = {}
for from = 1, count, 7000 do
  local run = redis.call('HMGET', docs, unpack(members, from, math.min(from + 6999, count)))
  for i, document in ipairs(run) do documents[from + i - 1] = document end
end
return { told, more, members, documents }
