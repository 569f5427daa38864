-- Documents of the view that answers for a name in one instant: of the generation that readers read,
-- or of the one that is being filled while there is none.
--
-- ARGV  bytes of documents that are enough, key …
-- Answers {view, {generation read, generation filled, position …}, {document …}}: of the keys in
-- front, at least of one.

local generation = told[1] or told[2]
local docs = generation and keys_of(generation) .. 'docs'
local documents, bytes, enough = {}, 0, tonumber(ARGV[10])
for i = 11, #ARGV do
  local document = docs and redis.call('HGET', docs, ARGV[i])
  documents[#documents + 1] = document or false
  bytes = bytes + #(document or '')
  if bytes >= enough then break end
end
return { view, told, documents }
