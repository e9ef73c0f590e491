-- Lead to a run before it is claimed; 0 when its key belongs to another thread. Needs: index.
local place = call('HGET', PLACES, a.run_key)
if place and place ~= a.thread_id then return 0 end
call('HSET', PLACES, a.run_key, a.thread_id)
call('ZADD', LEASES, 'GT', now + a.lease, a.entry)
call('ZADD', IDLE, 'GT', 0, a.thread_id)
return 1
