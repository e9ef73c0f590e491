-- A thread for a dump, as its newest sealed run left it; nil when there is none. Needs: thread.
local found = call('HMGET', THREAD, 'id', 'name', 'agent_id', 'owner', 'archived', 'created', 'updated', 'last_run',
    'renamed', 'active', 'head', 'trimmed', 'digest')
if not found[1] then return false end
local open, live = {}, 0
for _, key in ipairs(call('ZRANGE', OPEN, 0, -1)) do
    local run = open_run(key)
    open[#open + 1] = run.run_id
    if run.status == 'live' then live = 1 end
end
local head = call('HGET', HEADS, found[11])
local record = { unpack(found, 1, 9) }
for index = 5, 9 do record[index] = tonumber(record[index]) end
return { record, tonumber(found[10]), tonumber(found[11]), tonumber(found[12]), found[13],
    head and cmsgpack.unpack(head).key, open, live }
