-- One atomic step. Everything that can be refused is refused before the first write: Redis does
-- not undo what a failed script has written.
--
-- KEYS  meta, steps, then for each view: docs, keys and, if it has indexes, entries, index;
--       then all that goes as a whole
-- ARGV  epoch, token, seq before, seq after, lease in ms, most stale keys of a range,
--       most steps that are kept, number of what is kept of this one · name, value …,
--       number of fields to set · field, value …, number of fields to remove · field …,
--       number of views, then for each:
--         1 if it has indexes,
--         number of documents · key, document …, and with indexes as many entries …,
--         number of removed keys · key …,
--         number of ranges · lower bound, upper bound, documents given in it …
-- Answers {'done'}, {'owner', epoch, token, seq} if the pipeline is not ours at that seq,
-- {'type', key, type} or {'crowded', view, range} (numbers from 0; a sweep must come first).

local at = 0
local function take()
  at = at + 1
  return ARGV[at]
end
local function take_number() return tonumber(take()) end
local function skip(count)
  local from = at + 1
  at = at + count
  return from
end

local epoch, token, seq, next_seq = take(), take(), take(), take()
local lease, stale_max = take_number(), take_number()
local meta, steps = KEYS[1], KEYS[2]

-- Where everything lies.
local steps_max, trace_count = take(), take_number()
local trace_from = skip(trace_count * 2)
local set_count = take_number()
local set_from = skip(set_count * 2)
local unset_count = take_number()
local unset_from = skip(unset_count)
local views = {}
local key_at = 2
for v = 1, take_number() do
  local view = { docs = KEYS[key_at + 1], keys = KEYS[key_at + 2], ranges = {} }
  key_at = key_at + 2
  local indexed = take() == '1'
  if indexed then
    view.entries, view.index = KEYS[key_at + 1], KEYS[key_at + 2]
    key_at = key_at + 2
  end
  view.puts = take_number()
  view.puts_from = skip(view.puts * 2)
  if indexed then view.entries_from = skip(view.puts) end
  view.removed = take_number()
  view.removed_from = skip(view.removed)
  for r = 1, take_number() do
    view.ranges[r] = { min = take(), max = take(), given = take_number() }
  end
  views[v] = view
end

-- Everything that can be refused.
local found = wrong_type(meta, 'hash')
if found then return { 'type', meta, found } end
found = wrong_type(steps, 'stream')
if found then return { 'type', steps, found } end
local owner = redis.call('HMGET', meta, 'epoch', 'token', 'seq')
if owner[1] ~= epoch or owner[2] ~= token or owner[3] ~= seq then
  return { 'owner', owner[1] or '', owner[2] or '', owner[3] or '' }
end
for v, view in ipairs(views) do
  for name, type in pairs({ docs = 'hash', keys = 'zset', entries = 'hash', index = 'zset' }) do
    local key = view[name]
    found = key and wrong_type(key, type)
    if found then return { 'type', key, found } end
  end
  for r, range in ipairs(view.ranges) do
    if redis.call('ZLEXCOUNT', view.keys, range.min, range.max) > stale_max + view.puts then
      return { 'crowded', v - 1, r - 1 }
    end
  end
end

-- Calls a command with arguments of ours, in runs.
local function call_with_arguments(command, key, from, count)
  local result = 0
  for first = from, from + count - 1, RUN do
    local last = math.min(first + RUN - 1, from + count - 1)
    result = result + redis.call(command, key, unpack(ARGV, first, last))
  end
  return result
end

-- Moves the index entries of the documents written from what they were to what they are.
local function write_entries(view)
  local olds = {}
  for first = 1, view.puts, RUN do
    local keys = {}
    for i = first, math.min(first + RUN - 1, view.puts) do
      keys[#keys + 1] = ARGV[view.puts_from + (i - 1) * 2]
    end
    for i, old in ipairs(redis.call('HMGET', view.entries, unpack(keys))) do
      olds[first + i - 1] = old
    end
  end
  local gone, come, set = {}, {}, {}
  for i = 1, view.puts do
    local old, new = olds[i], ARGV[view.entries_from + i - 1]
    if old ~= new then
      if old then unpack_entry(old, gone) end
      local members = {}
      unpack_entry(new, members)
      for _, member in ipairs(members) do
        come[#come + 1] = 0
        come[#come + 1] = member
      end
      set[#set + 1] = ARGV[view.puts_from + (i - 1) * 2]
      set[#set + 1] = new
    end
  end
  call_with('ZREM', view.index, gone)
  call_with('ZADD', view.index, come)
  call_with('HSET', view.entries, set)
end

local function write(view)
  local added = call_with_arguments('HSET', view.docs, view.puts_from, view.puts * 2)
  -- A document that was there has its key there: only new ones cost a look at the sorted set.
  if added > 0 then
    local scored = {}
    for i = 0, view.puts - 1 do
      scored[i * 2 + 1] = '0'
      scored[i * 2 + 2] = ARGV[view.puts_from + i * 2]
    end
    call_with('ZADD', view.keys, scored)
  end
  if view.entries then write_entries(view) end
end

-- Removes what is in a range and not among the documents written.
local function replace(view, range)
  if redis.call('ZLEXCOUNT', view.keys, range.min, range.max) == range.given then return end
  local given = {}
  for i = 0, view.puts - 1 do given[ARGV[view.puts_from + i * 2]] = true end
  local stale = {}
  for _, key in ipairs(redis.call('ZRANGEBYLEX', view.keys, range.min, range.max)) do
    if not given[key] then stale[#stale + 1] = key end
  end
  remove(view.docs, view.keys, view.entries, view.index, stale)
end

for _, view in ipairs(views) do
  if view.puts > 0 then write(view) end
  if view.removed > 0 then
    local gone = {}
    for i = 0, view.removed - 1 do gone[i + 1] = ARGV[view.removed_from + i] end
    remove(view.docs, view.keys, view.entries, view.index, gone)
  end
  for _, range in ipairs(view.ranges) do replace(view, range) end
end

if trace_count > 0 then
  redis.call('XADD', steps, 'MAXLEN', '~', steps_max, '*',
    unpack(ARGV, trace_from, trace_from + trace_count * 2 - 1))
end

for i = key_at + 1, #KEYS do redis.call('UNLINK', KEYS[i]) end

call_with_arguments('HSET', meta, set_from, set_count * 2)
call_with_arguments('HDEL', meta, unset_from, unset_count)
redis.call('HSET', meta, 'seq', next_seq, 'lease', string.format('%.0f', now_ms() + lease))
return { 'done' }
