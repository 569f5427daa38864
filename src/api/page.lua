-- A page of documents of the generation that readers read of the view that answers for a name, in
-- one instant.
--
-- ARGV  the view that the bounds are meant for (empty: any), kind of the sorted set of members that
--       end in a key, lower bound, upper bound, most documents, most bytes of documents (one document
--       may have more), length of what precedes the key
-- Answers {view, {generation read, generation filled, position …}, 1 if more follow, keys, documents};
-- of another view than the bounds are meant for no documents.

local meant = ARGV[10]
local limit, bytes_max, prefix = tonumber(ARGV[14]), tonumber(ARGV[15]), tonumber(ARGV[16])
if not told[1] or (meant ~= '' and meant ~= view) then return { view, told, 0, {}, {} } end
local keys = keys_of(told[1])
local docs = keys .. 'docs'
local members =
  redis.call('ZRANGEBYLEX', keys .. ARGV[11], ARGV[12], ARGV[13], 'LIMIT', 0, limit + 1)
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
return { view, told, more, members, documents }
