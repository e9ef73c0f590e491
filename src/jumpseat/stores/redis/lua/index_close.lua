-- A run is sealed with a log (a.sealed is when), or not open at all. Needs: index.
even_when_full()
call('ZREM', LEASES, a.entry)
if a.sealed then
    call('ZADD', LOGS, a.sealed, a.entry)
else
    call('ZREM', LOGS, a.entry)
    call('HDEL', PLACES, a.run_key)
end
return 1
