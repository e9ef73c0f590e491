-- Take a run over: its epoch rises and the old writer is fenced. Needs: thread.
even_when_full()
local run = open_run(a.run_key)
if not run then return false end
-- Only a claim makes a thread.
run.made = nil
-- An answer that got lost on its way is given again.
if run.epoch == a.epoch + 1 and run.token == a.token then return claimed(run) end
if run.epoch ~= a.epoch or (not a.force and run.expires > now) then return false end
run.epoch = run.epoch + 1
call('HSET', run_key_of(run.key), 'epoch', integer(run.epoch), 'expires', integer(now + a.lease),
    'token', a.token, 'process', a.process)
wake(run.key)
return claimed(run)
