-- The record of a thread, after a change if there is one. Needs: thread.
if a.change then needs_memory() end
if not owned() then return false end
local fields = { 'id', 'name', 'agent_id', 'owner', 'archived', 'created', 'updated', 'last_run', 'renamed' }
if a.change then
    local found = call('HMGET', THREAD, 'name', 'renamed', 'archived', 'updated', 'active')
    local named, renamed, archived = found[1] or nil, found[2] == '1', found[3] == '1'
    local moved = false
    if a.change.set_name and not (a.change.automatic and renamed) then
        moved = a.change.name ~= named
        renamed = renamed or not a.change.automatic
        if a.change.name then
            call('HSET', THREAD, 'name', a.change.name)
        else
            call('HDEL', THREAD, 'name')
        end
        call('HSET', THREAD, 'renamed', renamed and 1 or 0)
    end
    if a.change.archived ~= nil and a.change.archived ~= archived then
        moved = true
        call('HSET', THREAD, 'archived', a.change.archived and 1 or 0)
    end
    if moved then
        call('HSET', THREAD, 'updated', integer(math.max(now, found[4])), 'active', integer(math.max(now, found[5])))
        used()
    end
end
local record = call('HMGET', THREAD, unpack(fields))
for index = 5, #fields do record[index] = tonumber(record[index]) end
return record
