-- Sealed runs with ordinals from a.after to a.last, as many as fit on a page. Needs: thread.
local found, size = {}, 0
for ordinal = a.after + 1, a.last do
    local at = integer(ordinal)
    for _, what in ipairs({ ':terminal', ':record', ':pending', ':state' }) do
        size = size + call('HSTRLEN', OUTCOMES, at .. what)
    end
    if #found > 0 and (#found >= a.limit or size > a.bytes) then break end
    local one = header(at)
    if not one then break end
    found[#found + 1] = { one, call('HGET', OUTCOMES, at .. ':state') }
end
return found
