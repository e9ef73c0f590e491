-- Keep parts of a thread that is being loaded under its temporary name; the server forgets them when the rest
-- does not come. What an earlier call with these arguments did is not done again. Needs: thread, view.
local STAGED_MS = 3600000
needs_memory()

for _, run in ipairs(a.runs or {}) do
    local at = integer(run.ordinal)
    call('HSET', HEADS, at, cmsgpack.pack({
        key = run.key, run_id = run.run_id, agent_id = run.agent_id, ordinal = run.ordinal, status = run.status,
        parent = run.parent, last = run.last, created = run.created, sealed = run.sealed, epoch = 1,
    }))
    call('HSET', KEYS_OF, run.key, at)
    call('HSET', NEWEST, run.run_id, run.key)
    for _, what in ipairs({ 'terminal', 'record', 'pending', 'state' }) do
        if run[what] then call('HSET', OUTCOMES, at .. ':' .. what, run[what]) end
    end
    if run.raw then call('ZADD', LOGS, run.ordinal, run.key) end
end

for _, entry in ipairs(a.entries or {}) do
    local id = integer(entry.id)
    local meta = new_meta(entry, entry.shown_from)
    if call('HSETNX', META, id, cmsgpack.pack(meta)) == 1 then
        call('HSET', DATA, id, entry.data)
        if entry.hidden_at then
            call('ZADD', HIDDEN, entry.hidden_at, id)
        else
            show_entry(id, meta)
        end
    end
end

for _, one in ipairs(a.compacted or {}) do
    local at = integer(one.ordinal)
    call('HSET', OUTCOMES, at .. ':compacted', one.data, at .. ':count', integer(one.count))
end

if a.log then
    local log = log_of(a.log.key)
    local last = call('XREVRANGE', log, '+', '-', 'COUNT', 1)[1]
    add_events({ key = a.log.key, last = last and tonumber(string.match(last[1], '%d+')) or 0 }, a.log.first,
        a.log.events)
    call('PEXPIRE', log, STAGED_MS)
end

for _, key in ipairs(ALL) do call('PEXPIRE', key, STAGED_MS) end
return 1
