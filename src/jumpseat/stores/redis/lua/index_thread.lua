-- Note what a thread said of itself: how many runs it has, when it was active, or that it is gone. Needs: index.
even_when_full()
if a.runs then call('ZADD', LONG, a.runs, a.thread_id) end
if a.active then call('ZADD', IDLE, a.active, a.thread_id) end
if a.gone then
    call('ZREM', LONG, a.thread_id)
    -- A claim may be making it right now: its entry goes when it is found gone once more, a while later.
    local score = tonumber(call('ZSCORE', IDLE, a.thread_id))
    if score and score >= 0 then
        call('ZADD', IDLE, -now, a.thread_id)
    elseif score and now + score >= a.age then
        call('ZREM', IDLE, a.thread_id)
    end
end
return 1
