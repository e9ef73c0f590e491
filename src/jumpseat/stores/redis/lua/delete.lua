-- Delete a thread, revoke its claims, and remember both for an hour. Needs: thread.
even_when_full()
local found = call('HMGET', THREAD, 'version', 'owner')
if not found[1] then
    local mark = call('HMGET', MARK, 'version', 'owner')
    return { mark[1] and (mark[2] or nil) == a.owner and 1 or 0, {} }
end
if (found[2] or nil) ~= a.owner then return { 0, {} } end
local revoked = {}
for _, key in ipairs(call('ZRANGE', OPEN, 0, -1)) do
    local run = open_run(key)
    revoked[#revoked + 1] = { key, cmsgpack.pack({ run.run_id, run.epoch + 1 }) }
end
local keys = remove_thread()
for _, claim in ipairs(revoked) do call('HSET', REVOKED, claim[1], claim[2]) end
call('PEXPIRE', REVOKED, MARK_MS)
call('HSET', MARK, 'version', found[1])
if found[2] then call('HSET', MARK, 'owner', found[2]) end
call('PEXPIRE', MARK, MARK_MS)
return { 1, keys }
