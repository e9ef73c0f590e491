-- What the indexes of other slots should hold of this thread and one of its runs. Needs: thread.
local run = a.run_key and open_run(a.run_key)
local sealed = a.run_key and not run and sealed_run(a.run_key)
if run then return { indexed(), 'open', run.epoch, run.expires - now } end
if sealed then return { indexed(), call('ZSCORE', LOGS, a.run_key) and 'log' or 'sealed', sealed.sealed } end
return { indexed(), 'gone' }
