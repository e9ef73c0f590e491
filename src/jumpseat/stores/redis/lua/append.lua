-- Store consecutive events of a live run, which are the arguments behind the first one; those already stored
-- are skipped. Needs: thread.
needs_memory()
local run = held(a.run_key, a.epoch)
if not run or run.status ~= 'live' then return { 'lost' } end
if not stored_of(run, a.first_seq) then return { 'gap', run.last } end
local last = run.last
local events = {}
for place = 2, #ARGV do events[place - 1] = ARGV[place] end
add_events(run, a.first_seq, events)
if run.last > last then
    call('HSET', run_key_of(run.key), 'last', integer(run.last))
    wake(run.key)
end
return { run.stop and 'stopping' or 'held' }
