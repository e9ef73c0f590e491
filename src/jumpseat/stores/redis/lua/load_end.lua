-- Make a thread of what was kept under the temporary name a.staged, in place of the one that is there if
-- a.replace says so. Needs: thread.
needs_memory()
local found = call('HMGET', THREAD, 'version', 'owner', 'loaded')
-- An answer that got lost on its way is given again.
if found[3] == a.token then return { 'again', {}, indexed() } end
if found[1] and not a.replace then return { 'exists' } end
if call('EXISTS', OPEN) == 1 then return { 'busy' } end
if a.runs > 0 and call('HLEN', a.staged .. ':heads') < a.runs then return { 'lost' } end
-- As of a new thread: a plan for one that is gone never fits it.
local version = math.max(now, (call('HGET', MARK, 'version') or 0) + 1, (found[1] or 0) + 1)
local removed = found[1] and remove_thread() or {}
for _, key in ipairs(ALL) do
    local staged = a.staged .. string.sub(key, #name + 1)
    if call('EXISTS', staged) == 1 then
        call('RENAME', staged, key)
        call('PERSIST', key)
    end
end
for _, key in ipairs(call('ZRANGE', LOGS, 0, -1)) do
    local staged = a.staged .. ':log:' .. key
    if call('EXISTS', staged) == 1 then
        call('RENAME', staged, log_of(key))
        call('PERSIST', log_of(key))
        if a.log_ttl then call('PEXPIREAT', log_of(key), integer(now + a.log_ttl)) end
    end
end
call('HSET', THREAD, 'id', a.id, 'agent_id', a.agent_id, 'created', integer(a.created), 'updated',
    integer(a.updated), 'last_run', integer(a.last_run), 'active', integer(a.active), 'version', integer(version),
    'archived', a.archived and 1 or 0, 'renamed', a.renamed and 1 or 0, 'runs', integer(a.runs), 'trimmed',
    integer(a.trimmed), 'head', integer(a.runs), 'entries', integer(a.entries), 'loaded', a.token)
for _, field in ipairs({ 'owner', 'name', 'digest' }) do
    if a[field] then call('HSET', THREAD, field, a[field]) end
end
local state = call('HGET', OUTCOMES, integer(a.runs) .. ':state')
if state then call('HSET', THREAD, 'state', state) end
call('DEL', MARK)
used()
return { found[1] and 'replaced' or 'loaded', removed, indexed() }
