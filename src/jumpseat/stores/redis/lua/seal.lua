-- End a run and free its thread. Needs: thread, view.
needs_memory()
local run = held(a.run_key, a.epoch)
if not run then
    local sealed = sealed_run(a.run_key)
    -- An answer that got lost on its way is given again.
    if sealed and sealed.token == a.token then return { 'sealed', sealed.sealed, call('HGET', THREAD, 'owner') } end
end
if not run or run.status ~= 'live' then return { 'lost' } end
if not stored_of(run, a.first_seq) then return { 'gap', run.last } end
local taken = conflict(a.plan, run.ordinal)
if taken then return { 'conflict', taken } end
add_events(run, a.first_seq, a.events)
call('HSET', HEADS, integer(run.ordinal), cmsgpack.pack({
    key = run.key, run_id = run.run_id, agent_id = run.agent_id, ordinal = run.ordinal, status = a.status,
    parent = run.parent, last = run.last, created = run.created, sealed = now, epoch = run.epoch,
    token = a.token,
}))
for _, what in ipairs({ 'terminal', 'record', 'pending', 'state', 'compacted', 'count' }) do
    if a[what] then call('HSET', OUTCOMES, integer(run.ordinal) .. ':' .. what, a[what]) end
end
apply_plan(a.plan, run.ordinal)
changed_view(a.plan)
if a.state then
    call('HSET', THREAD, 'state', a.state)
else
    call('HDEL', THREAD, 'state')
end
local thread = call('HMGET', THREAD, 'head', 'active')
call('HSET', THREAD, 'head', integer(math.max(thread[1], run.ordinal)),
    'active', integer(math.max(thread[2], now)))
call('ZADD', LOGS, run.ordinal, run.key)
call('ZREM', OPEN, run.key)
call('DEL', run_key_of(run.key))
if a.log_ttl then call('PEXPIREAT', log_of(run.key), integer(now + a.log_ttl)) end
used()
wake(run.key)
return { 'sealed', now, call('HGET', THREAD, 'owner') }
