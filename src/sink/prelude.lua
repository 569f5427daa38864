-- Runs of arguments stay below what Lua can unpack (8000); even, so that pairs stay together.
local RUN = 7000

-- Calls a command on a key with all of a list's items, in runs.
local function call_with(command, key, items)
  for from = 1, #items, RUN do
    redis.call(command, key, unpack(items, from, math.min(from + RUN - 1, #items)))
  end
end

-- Appends the index members of a packed entry to a list.
local function unpack_entry(packed, members)
  local at = 1
  while at <= #packed do
    members[#members + 1], at = struct.unpack('>I4c0', packed, at)
  end
end

-- Appends the index members that documents have now to a list.
local function old_members(entries, keys, members)
  for from = 1, #keys, RUN do
    local run = redis.call('HMGET', entries, unpack(keys, from, math.min(from + RUN - 1, #keys)))
    for i = 1, #run do
      if run[i] then unpack_entry(run[i], members) end
    end
  end
end

-- Removes documents with their keys and index entries; entries and index are nil without indexes.
local function remove(docs, keys, entries, index, gone)
  call_with('HDEL', docs, gone)
  call_with('ZREM', keys, gone)
  if entries then
    local members = {}
    old_members(entries, gone, members)
    call_with('ZREM', index, members)
    call_with('HDEL', entries, gone)
  end
end

-- Milliseconds since 1970 by Redis' own clock.
local function now_ms()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

-- Nil if the key can be used as this type ('hash', 'zset', 'stream'), else what it is.
local function wrong_type(key, type)
  local found = redis.call('TYPE', key).ok
  if found ~= 'none' and found ~= type then return found end
end
