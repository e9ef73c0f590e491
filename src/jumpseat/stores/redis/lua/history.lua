-- One picture of a thread, now or after the run a.at. Needs: thread, view.
if not owned() then return false end
local thread = call('HMGET', THREAD, 'version', 'state', 'head')
local entries = {}

local function show(entry, hidden_at)
    local meta = meta_of(entry)
    if a.at and meta[2] > a.at then return end
    local aliases = {}
    for index = 5, #meta do aliases[#aliases + 1] = meta[index] end
    entries[#entries + 1] = { meta[1], meta[3], aliases, meta[4], call('HGET', DATA, entry), meta[2], hidden_at }
end

for _, entry in ipairs(call('ZRANGE', SHOWN, 0, -1)) do show(entry, false) end
if not a.at then
    return { entries, thread[2], header(thread[3]), live_reply(live_run()), tonumber(thread[1]) }
end
local hidden = call('ZRANGEBYSCORE', HIDDEN, '(' .. integer(a.at), '+inf', 'WITHSCORES')
for index = 1, #hidden, 2 do show(hidden[index], tonumber(hidden[index + 1])) end
local at = integer(a.at)
return { entries, call('HGET', OUTCOMES, at .. ':state'), header(at), false, tonumber(thread[1]) }
