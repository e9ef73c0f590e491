-- What every script on the index of one owner's threads begins with. KEYS[1] is its name. The index lies in
-- another slot than the threads, so it is written behind them: a change is marked before and applied after
-- it, and a mark that stays tells whoever lists the threads next what may be out of date.
local a = cmsgpack.unpack(ARGV[1])
local call = redis.call
local name = KEYS[1]

local LISTED = name .. ':all'      -- sorted set: thread ids by the time of their last run
local ACTIVE = name .. ':active'   -- the same without archived threads
local AGENTS = name .. ':agents'   -- hash: thread id -> agent id
local BUSY = name .. ':busy'       -- sorted set: {run key, thread id} of open runs by the time of their claim
local MARKS = name .. ':marks'     -- sorted set: {number, thread id} of changes on their way, by time
local LATEST = name .. ':latest'   -- hash: thread id -> number of its newest mark

local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local function of_agent(list, agent_id) return list .. ':' .. agent_id end

-- What a deletion or a run that was taken already entails is written on a full server, too: a script that
-- has written anything is not refused memory.
local function even_when_full() call('PERSIST', LISTED) end
