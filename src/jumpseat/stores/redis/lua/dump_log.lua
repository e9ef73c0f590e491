-- Ordinal and key of the first run with a log and an ordinal from a.after to a.last. Needs: thread.
local found = call('ZRANGEBYSCORE', LOGS, '(' .. integer(a.after), integer(a.last), 'WITHSCORES', 'LIMIT', 0, 1)
return found[1] and { tonumber(found[2]), found[1] }
