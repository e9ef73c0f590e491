-- Ids of some threads, and where to go on; and the server that knows what that means. Needs: index.
local server = string.match(call('INFO', 'server'), 'run_id:(%w+)')
local at, found = unpack(call('ZSCAN', IDLE, a.at, 'COUNT', a.limit))
local ids = {}
for index = 1, #found, 2 do ids[#ids + 1] = found[index] end
return { server or '', at, ids }
