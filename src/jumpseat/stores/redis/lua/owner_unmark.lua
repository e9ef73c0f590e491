-- Forget a mark once its change can no longer be on its way. Needs: owner.
local marked = call('ZSCORE', MARKS, a.mark)
if marked and marked + a.age <= now then call('ZREM', MARKS, a.mark) end
return 1
