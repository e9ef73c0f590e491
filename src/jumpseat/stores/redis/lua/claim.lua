-- Make a run live, or queue it, or say why not. Needs: thread, view.
needs_memory()
local found = call('HMGET', THREAD, 'version', 'owner', 'runs', 'name', 'renamed', 'last_run', 'updated')
local exists = found[1]
local mine = not exists or (found[2] or nil) == a.owner

local function busy(run)
    return { 'busy', run.key, run.epoch, run.run_id, run.expires <= now and 1 or 0 }
end

local function new_thread()
    -- Begins at the clock or later, so that a plan for a deleted thread never fits its successor.
    local version = math.max(now, (call('HGET', MARK, 'version') or 0) + 1)
    call('HSET', THREAD, 'id', a.thread_id, 'agent_id', a.agent_id, 'created', integer(now),
        'updated', integer(now), 'last_run', integer(now), 'active', integer(now), 'version', integer(version),
        'archived', 0, 'renamed', 0, 'runs', 0, 'trimmed', 0, 'head', 0)
    if a.owner then call('HSET', THREAD, 'owner', a.owner) end
    call('DEL', MARK)
end

local function new_run(ordinal, status)
    local run = run_key_of(a.run_key)
    call('HSET', run, 'ordinal', integer(ordinal), 'run_id', a.run_id, 'agent_id', a.agent_id,
        'status', status, 'epoch', 1, 'expires', integer(now + a.lease), 'created', integer(now), 'last', 0,
        'token', a.token, 'process', a.process)
    if a.parent then call('HSET', run, 'parent', a.parent) end
    call('HSET', KEYS_OF, a.run_key, integer(ordinal))
    call('HSET', NEWEST, a.run_id, a.run_key)
    call('ZADD', OPEN, ordinal, a.run_key)
    call('HSET', THREAD, 'runs', integer(ordinal))
    return open_run(a.run_key)
end

-- Why the plan does not fit, or nil.
local function misfit(ordinal)
    local version = exists and tonumber(exists) or 0
    if a.plan.version and a.plan.version ~= version then return { 'moved', version } end
    local taken = conflict(a.plan, ordinal)
    return taken and { 'conflict', taken }
end

local function start(run)
    if exists then
        local moment = math.max(now, tonumber(found[6]))
        call('HSET', THREAD, 'last_run', integer(moment), 'active', integer(moment),
            'updated', integer(math.max(moment, tonumber(found[7]))))
    end
    run.made = exists and '0' or '1'
    run.last = 1
    call('HSET', run_key_of(run.key), 'status', 'live', 'expires', integer(now + a.lease), 'process', a.process,
        'token', a.token, 'last', 1, 'made', run.made)
    call('XADD', log_of(run.key), '1-0', 'e', a.first)
    apply_plan(a.plan, run.ordinal)
    changed_view(a.plan)
    if a.state then call('HSET', THREAD, 'state', a.state) end
    if a.name and not found[4] and found[5] ~= '1' then call('HSET', THREAD, 'name', a.name) end
    wake(run.key)
    return claimed(run)
end

local function promote(run)
    -- An answer that got lost on its way is given again.
    if run.token == a.token and run.status == 'live' then return claimed(run) end
    if run.status ~= 'queued' or run.epoch ~= a.epoch then return busy(run) end
    local ahead = call('ZRANK', OPEN, run.key)
    if ahead > 0 then return { 'queued', run.epoch, ahead, optional(run.stop) } end
    return misfit(run.ordinal) or start(run)
end

local function decide()
    if not mine then return { 'foreign' } end
    local known = open_run(a.run_key)
    if known then return promote(known) end
    local sealed = sealed_run(a.run_key)
    if sealed then return { 'busy', sealed.key, sealed.epoch, sealed.run_id, 0 } end
    local revoked = call('HGET', REVOKED, a.run_key)
    if revoked then
        revoked = cmsgpack.unpack(revoked)
        return { 'busy', a.run_key, revoked[2], revoked[1], 0 }
    end
    local first = exists and first_open()
    if first then
        local open = call('ZCARD', OPEN)
        local waiting = first.status == 'live' and open - 1 or open
        if not a.queue or waiting >= a.max_queued then return busy(first) end
        new_run(found[3] + 1, 'queued')
        if a.input then call('HSET', run_key_of(a.run_key), 'input', a.input) end
        return { 'queued', 1, open, false }
    end
    local ordinal = (exists and found[3] or 0) + 1
    local answer = misfit(ordinal)
    if answer then return answer end
    if not exists then new_thread() end
    return start(new_run(ordinal, 'live'))
end

local answer = decide()
if answer[1] == 'claimed' or answer[1] == 'queued' then used() end
local of_ours = call('HGET', KEYS_OF, a.run_key)
return { answer, of_ours and 1 or 0, mine and indexed() }
