#!lua flags=no-writes
-- A page of documents and the state of their view in one instant.
--
-- KEYS  meta, sorted set of members that end in a key, docs
-- ARGV  field of the view's state, lower bound, upper bound, most documents,
--       most bytes of documents (one document may have more), length of what precedes the key
-- Answers {state, 1 if more follow, keys, documents}.

local limit, bytes_max, prefix = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local state = redis.call('HGET', KEYS[1], ARGV[1]) or ''
local members = redis.call('ZRANGEBYLEX', KEYS[2], ARGV[2], ARGV[3], 'LIMIT', 0, limit + 1)
local more = #members > limit and 1 or 0
members[limit + 1] = nil
if prefix > 0 then
  for i, member in ipairs(members) do members[i] = string.sub(member, prefix + 1) end
end

-- Lengths first, so that no page takes more memory here than it may.
local count, bytes = 0, 0
for i, key in ipairs(members) do
  bytes = bytes + redis.call('HSTRLEN', KEYS[3], key)
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
  local run = redis.call('HMGET', KEYS[3], unpack(members, from, math.min(from + 6999, count)))
  for i, document in ipairs(run) do documents[from + i - 1] = document end
end
return { state, more, members, documents }
