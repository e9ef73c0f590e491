-- What every script on the index of all runs and threads begins with. KEYS[1] is its name. An entry is there
-- before what it leads to and goes after it; what it says beyond that is only a hint, put right by whoever
-- follows it: the thread itself decides.
local a = cmsgpack.unpack(ARGV[1])
local call = redis.call
local name = KEYS[1]

local LEASES = name .. ':leases'   -- sorted set: {run key, thread id} of open runs by the end of their lease
local LOGS = name .. ':logs'       -- sorted set: the same of sealed runs with a log, by the time of the seal
local PLACES = name .. ':places'   -- hash: run key -> thread id, of all of these
local IDLE = name .. ':idle'       -- sorted set: thread ids by the time of their last activity
local LONG = name .. ':long'       -- sorted set: thread ids by the number of runs that are not trimmed

local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

-- What a deletion or a run that was taken already entails is written on a full server, too: a script that
-- has written anything is not refused memory.
local function even_when_full() call('PERSIST', LEASES) end
