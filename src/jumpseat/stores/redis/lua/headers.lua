-- Headers of runs: the one with a key, the newest with an id, or a page by ordinal. Needs: thread.
if not owned() then return {} end
if a.run_key or a.run_id then
    local key = a.run_key or call('HGET', NEWEST, a.run_id)
    local ordinal = key and call('HGET', KEYS_OF, key)
    return ordinal and { header(ordinal) } or {}
end
local headers = {}
local first = math.max(a.after, 0) + 1
local last = math.min(first + a.limit - 1, tonumber(call('HGET', THREAD, 'runs')))
for ordinal = first, last do
    local one = header(integer(ordinal))
    if one then headers[#headers + 1] = one end
end
return headers
