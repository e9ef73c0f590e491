-- Schema 1: the first one. ARGV[1] is its number; a database that has a schema already is left alone.
if redis.call('EXISTS', KEYS[1]) == 0 then redis.call('SET', KEYS[1], ARGV[1]) end
return redis.call('GET', KEYS[1])
