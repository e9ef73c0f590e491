-- Entries with ids above a.after, which are given in the order of adding, as many as fit on a page; and the id
-- behind which the next ones come. Needs: thread, view.
local last = tonumber(call('HGET', THREAD, 'entries') or 0)
local found, size = {}, 0
for id = a.after + 1, math.min(last, a.after + a.limit) do
    local entry = integer(id)
    if call('HEXISTS', META, entry) == 1 then
        size = size + call('HSTRLEN', DATA, entry)
        if #found > 0 and size > a.bytes then return { found, id - 1 } end
        local meta = meta_of(entry)
        local aliases = {}
        for index = 5, #meta do aliases[#aliases + 1] = meta[index] end
        local hidden_at = tonumber(call('ZSCORE', HIDDEN, entry) or nil)
        found[#found + 1] = { meta[1], meta[3], aliases, meta[4], call('HGET', DATA, entry), meta[2],
            optional(hidden_at) }
    end
end
return { found, last > a.after + a.limit and a.after + a.limit }
