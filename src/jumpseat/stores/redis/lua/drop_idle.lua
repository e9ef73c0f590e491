-- Remove a thread that has been idle for a.age milliseconds. Needs: thread.
even_when_full()
local active = call('HGET', THREAD, 'active')
if not active then return { 'gone' } end
if call('ZCARD', OPEN) > 0 or tonumber(active) >= now - a.age then return { 'kept', tonumber(active) } end
local owner = call('HGET', THREAD, 'owner')
return { 'removed', remove_thread(), owner }
