#!lua flags=no-writes
-- A document and the state of its view in one instant.
--
-- KEYS  meta, docs
-- ARGV  field of the view's state, key
return { redis.call('HGET', KEYS[1], ARGV[1]) or '', redis.call('HGET', KEYS[2], ARGV[2]) }
