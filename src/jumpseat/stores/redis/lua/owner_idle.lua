-- Forget a run that is not open, unless its claim may still be on its way. Needs: owner.
local claimed = call('ZSCORE', BUSY, a.idle)
if claimed and claimed + a.age <= now then call('ZREM', BUSY, a.idle) end
return 1
