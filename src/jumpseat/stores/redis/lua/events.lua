-- Compacted events of whole runs until a.limit events are reached. Needs: thread.
if not owned() then return {} end
local counters = call('HMGET', THREAD, 'runs', 'trimmed')
local runs, trimmed = tonumber(counters[1]), tonumber(counters[2])
local first, last, step = math.max(a.after, trimmed) + 1, runs, 1
if a.newest then first, last, step = (a.after > 0 and math.min(a.after, runs + 1) or runs + 1) - 1, trimmed + 1, -1 end
local found, count = {}, 0
for ordinal = first, last, step do
    if count >= a.limit then break end
    local kept = call('HMGET', OUTCOMES, integer(ordinal) .. ':compacted', integer(ordinal) .. ':count')
    if kept[1] then
        found[#found + 1] = { cmsgpack.unpack(call('HGET', HEADS, integer(ordinal))).key, ordinal, kept[1] }
        count = count + kept[2]
    end
end
return found
