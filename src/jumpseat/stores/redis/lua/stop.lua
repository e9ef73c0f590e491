-- Flag the open runs that a.run_id covers, each once, and tell their processes. Needs: thread.
even_when_full()
if not owned() then return false end
local flagged = {}
for _, key in ipairs(call('ZRANGE', OPEN, 0, -1)) do
    local run = open_run(key)
    if not a.run_id or run.run_id == a.run_id then
        if not run.stop then
            call('HSET', run_key_of(key), 'stop', a.reason, 'stop_token', a.token)
            call('PUBLISH', run.process, cmsgpack.pack({ 'stop', key }))
        end
        -- An answer that got lost on its way is given again.
        if not run.stop or run.stop_token == a.token then flagged[#flagged + 1] = { key, run.epoch } end
    end
end
return flagged
