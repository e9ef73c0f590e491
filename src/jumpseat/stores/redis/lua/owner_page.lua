-- Thread ids by (time, id), newest first, strictly behind a.time and a.id. Needs: owner.
local list = a.archived and LISTED or ACTIVE
if a.agent_id then list = of_agent(list, a.agent_id) end
if not a.time then return call('ZREVRANGE', list, 0, a.limit - 1) end
local ids = {}

-- Comparing strings in Lua goes by the server's locale, the order of the set by bytes.
local function before(one, other)
    for index = 1, math.min(#one, #other) do
        local difference = one:byte(index) - other:byte(index)
        if difference ~= 0 then return difference < 0 end
    end
    return #one < #other
end

for _, id in ipairs(call('ZREVRANGEBYSCORE', list, a.time, a.time)) do
    if before(id, a.id) and #ids < a.limit then ids[#ids + 1] = id end
end
local older = '(' .. string.format('%.0f', a.time)
for _, id in ipairs(call('ZREVRANGEBYSCORE', list, older, '-inf', 'LIMIT', 0, a.limit - #ids)) do
    ids[#ids + 1] = id
end
return ids
