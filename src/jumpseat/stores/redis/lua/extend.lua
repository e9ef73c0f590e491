-- Renew a lease; says whether it became shorter, for the index of leases. Needs: thread.
even_when_full()
local run = held(a.run_key, a.epoch)
if not run then return { 'lost', 0 } end
call('HSET', run_key_of(run.key), 'expires', integer(now + a.lease))
local shorter = now + a.lease < run.expires
if shorter then wake(run.key) end
return { run.stop and 'stopping' or 'held', shorter and 1 or 0 }
