-- One page of a run's log; a reader that finds nothing is registered to be woken. Needs: thread.
local PAGE_EVENTS, PAGE_BYTES, STEP = 256, 1048576, 16

-- A few entries at a time, because one of them may be large.
local function page(last)
    local events, size, after = {}, 0, a.after
    while after < last and #events < PAGE_EVENTS do
        local some = call('XRANGE', log_of(a.run_key), '(' .. integer(after) .. '-0', '+', 'COUNT', STEP)
        if #some == 0 then return events end
        for _, entry in ipairs(some) do
            local data = entry[2][2]
            size = size + #data
            if #events > 0 and (size > PAGE_BYTES or #events >= PAGE_EVENTS) then return events end
            events[#events + 1] = data
            after = after + 1
        end
    end
    return events
end

local run = open_run(a.run_key)
if run then
    if a.after < run.last then return { 'page', page(run.last), 0 } end
    if run.expires <= now then return { 'expired' } end
    if a.process then
        -- On a full server this is refused, and the reader only looks again a little later.
        redis.pcall('ZADD', watchers_of(run.key), now, a.process)
        redis.pcall('PEXPIRE', watchers_of(run.key), 600000)
    end
    return { 'wait', run.expires - now }
end
local sealed = sealed_run(a.run_key)
if not sealed then
    -- A replica that lags behind may not know the run yet.
    even_when_full()
    return { 'gone' }
end
if a.after >= sealed.last then return { 'page', {}, 1 } end
if not call('ZSCORE', LOGS, a.run_key) then return { 'gone' } end
local events = page(sealed.last)
if #events == 0 then return { 'gone' } end
return { 'page', events, a.after + #events >= sealed.last and 1 or 0 }
