-- Empty up to a.limit runs and hidden entries older than the newest a.keep runs and the head. Needs: thread.
even_when_full()
local thread = call('HMGET', THREAD, 'runs', 'head', 'trimmed')
if not thread[1] then return { 0, 0 } end
local trimmed = tonumber(thread[3])
local last = math.min(thread[1] - a.keep, thread[2] - 1)
if last <= trimmed then return { 0, thread[1] - trimmed } end
local removed = 0
for _, entry in ipairs(call('ZRANGEBYSCORE', HIDDEN, '-inf', integer(last + 1), 'LIMIT', 0, a.limit)) do
    call('ZREM', HIDDEN, entry)
    call('HDEL', META, entry)
    call('HDEL', DATA, entry)
    removed = removed + 1
end
while trimmed < last and removed < a.limit do
    trimmed = trimmed + 1
    local ordinal = integer(trimmed)
    local key = cmsgpack.unpack(call('HGET', HEADS, ordinal)).key
    if call('ZREM', LOGS, key) == 1 then call('UNLINK', log_of(key)) end
    for _, what in ipairs({ 'terminal', 'record', 'pending', 'state', 'compacted', 'count' }) do
        call('HDEL', OUTCOMES, ordinal .. ':' .. what)
    end
    wake(key)
    removed = removed + 1
end
call('HSET', THREAD, 'trimmed', integer(trimmed))
return { removed, thread[1] - trimmed }
