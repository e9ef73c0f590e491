-- Visible entries by key or alias, each with its neighbours. Needs: thread, view.
local thread = call('HMGET', THREAD, 'version', 'owner', 'digest', 'runs')
if not thread[1] then return { 'unknown' } end
if (thread[2] or nil) ~= a.owner then return { 'foreign' } end

-- Of several entries with one name: the one that has it as its key, else the one shown last.
local function best(called, entries)
    for index = #entries, 1, -1 do
        local meta = meta_of(entries[index])
        if meta[3] == called then return meta end
    end
    return meta_of(entries[#entries])
end

local function neighbour(command, position, limit)
    local found = call(command, SHOWN, '(' .. integer(position), limit, 'WITHSCORES', 'LIMIT', 0, 1)
    return found[2] and tonumber(found[2]) or false
end

local found = {}
for index, called in ipairs(a.keys) do
    local packed = call('HGET', NAMES, called)
    if packed then
        local meta = best(called, cmsgpack.unpack(packed))
        local position = meta[1]
        found[#found + 1] = { index - 1, meta[3], position, meta[4], meta[2],
            neighbour('ZREVRANGEBYSCORE', position, '-inf'), neighbour('ZRANGEBYSCORE', position, '+inf') }
    end
end
return { 'found', tonumber(thread[1]), thread[3], last_position(), tonumber(thread[4]), found }
