-- The live run of a thread. Needs: thread.
if not owned() then return false end
return live_reply(live_run())
