-- Compacted events of whole runs with ordinals from a.after to a.last, as many as fit on a page. Needs: thread.
local found, size = {}, 0
for ordinal = math.max(a.after, tonumber(call('HGET', THREAD, 'trimmed') or 0)) + 1, a.last do
    local at = integer(ordinal)
    if call('HEXISTS', OUTCOMES, at .. ':compacted') == 1 then
        size = size + call('HSTRLEN', OUTCOMES, at .. ':compacted')
        if #found > 0 and (#found >= a.limit or size > a.bytes) then break end
        found[#found + 1] = { cmsgpack.unpack(call('HGET', HEADS, at)).key, ordinal,
            call('HGET', OUTCOMES, at .. ':compacted') }
    end
end
return found
