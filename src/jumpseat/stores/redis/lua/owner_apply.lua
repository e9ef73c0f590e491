-- Write what a thread is after the change with mark a.number; 0 when another change was marked meanwhile, or
-- somebody else has repaired the index: what the caller read may then be old. Needs: owner.
even_when_full()
if a.idle then call('ZREM', BUSY, a.idle) end
if call('HGET', LATEST, a.thread_id) ~= string.format('%.0f', a.number) then return 0 end
local known = call('HGET', AGENTS, a.thread_id)
if known and known ~= a.agent_id then
    for _, list in ipairs({ LISTED, ACTIVE }) do
        call('ZREM', list, a.thread_id)
        call('ZREM', of_agent(list, known), a.thread_id)
    end
    call('HDEL', AGENTS, a.thread_id)
end
if a.agent_id then
    call('HSET', AGENTS, a.thread_id, a.agent_id)
    call('ZADD', LISTED, a.last_run, a.thread_id)
    call('ZADD', of_agent(LISTED, a.agent_id), a.last_run, a.thread_id)
    for _, list in ipairs({ ACTIVE, of_agent(ACTIVE, a.agent_id) }) do
        if a.archived then
            call('ZREM', list, a.thread_id)
        else
            call('ZADD', list, a.last_run, a.thread_id)
        end
    end
end
call('HDEL', LATEST, a.thread_id)
for _, number in ipairs(a.own) do call('ZREM', MARKS, cmsgpack.pack({ number, a.thread_id })) end
return 1
