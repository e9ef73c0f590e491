-- Forget the log of a sealed run. Needs: thread.
even_when_full()
if call('ZREM', LOGS, a.run_key) == 0 then return 0 end
call('UNLINK', log_of(a.run_key))
wake(a.run_key)
return 1
