-- Note what is known of an open run: the rest of its lease, and its thread. Needs: index.
even_when_full()
if not a.only_known or call('ZSCORE', LEASES, a.entry) then
    call('HSET', PLACES, a.run_key, a.thread_id)
    call('ZADD', LEASES, now + a.lease, a.entry)
end
if a.active then
    call('ZADD', IDLE, 'GT', a.active, a.thread_id)
    call('ZADD', LONG, a.runs, a.thread_id)
end
return 1
