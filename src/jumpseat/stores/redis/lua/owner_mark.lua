-- Announce a change of a thread; a.busy is the run that it may begin. Needs: owner.
if not a.busy then even_when_full() end
local number = call('INCR', name .. ':number')
call('ZADD', MARKS, now, cmsgpack.pack({ number, a.thread_id }))
call('HSET', LATEST, a.thread_id, number)
if a.busy then call('ZADD', BUSY, now, a.busy) end
return number
