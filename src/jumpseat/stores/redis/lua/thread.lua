-- What every script on one thread begins with: its keys, its clock, its runs. KEYS[1] is the thread's name,
-- "<prefix>:{<hash of the thread id>}", which all of its keys begin with; ARGV[1] holds the arguments.
local a = cmsgpack.unpack(ARGV[1])
local call = redis.call
local name = KEYS[1]

local THREAD = name .. ':thread'     -- hash: the record, version, counters, state
local OPEN = name .. ':open'         -- sorted set: keys of live and queued runs by ordinal
local KEYS_OF = name .. ':keys'      -- hash: run key -> ordinal
local NEWEST = name .. ':newest'     -- hash: run id -> key of its newest run
local HEADS = name .. ':heads'       -- hash: ordinal -> a sealed run, packed
local OUTCOMES = name .. ':outcomes' -- hash: "<ordinal>:<what>" -> what a seal left behind
local LOGS = name .. ':logs'         -- sorted set: keys of sealed runs whose log is kept, by ordinal
local SHOWN = name .. ':shown'       -- sorted set: ids of visible entries by position
local HIDDEN = name .. ':hidden'     -- sorted set: ids of hidden entries by the ordinal that hid them
local META = name .. ':meta'         -- hash: entry id -> {position, shown from, key, digest, alias ...}, packed
local DATA = name .. ':data'         -- hash: entry id -> message
local NAMES = name .. ':names'       -- hash: key or alias -> ids of visible entries, packed
local MARK = name .. ':mark'         -- hash: who deleted the thread, and its version; gone after an hour
local REVOKED = name .. ':revoked'   -- hash: run key -> {run id, epoch} of claims that a deletion revoked

local ALL = { THREAD, OPEN, KEYS_OF, NEWEST, HEADS, OUTCOMES, LOGS, SHOWN, HIDDEN, META, DATA, NAMES }
local MARK_MS = 3600000
local LIVE_FIELDS = { 'ordinal', 'run_id', 'agent_id', 'status', 'epoch', 'expires', 'stop', 'created', 'last',
    'parent', 'token', 'process', 'stop_token', 'made' }

local function run_key_of(key) return name .. ':run:' .. key end
local function log_of(key) return name .. ':log:' .. key end
local function watchers_of(key) return name .. ':watch:' .. key end

local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

-- Each script that changes something begins with one of these two, which change nothing: on a server that
-- may not be written, such as a replica that lags behind, it then fails before it answers from what it sees.
-- On a full server a script is refused as a whole at its first command that needs memory, and not at all
-- after another write.
local function needs_memory() call('SETRANGE', name .. ':none', 0, '') end
local function even_when_full() call('PERSIST', THREAD) end

local function integer(value) return string.format('%.0f', value) end

-- An optional value as an argument of a reply: false becomes nil there.
local function optional(value) return value or false end

local function open_run(key)
    local values = call('HMGET', run_key_of(key), unpack(LIVE_FIELDS))
    if not values[1] then return nil end
    local run = { key = key }
    for index, field in ipairs(LIVE_FIELDS) do run[field] = values[index] or nil end
    for _, field in ipairs({ 'ordinal', 'epoch', 'expires', 'created', 'last' }) do
        run[field] = tonumber(run[field])
    end
    run.parent = tonumber(run.parent)
    return run
end

local function first_open()
    local key = call('ZRANGE', OPEN, 0, 0)[1]
    return key and open_run(key)
end

local function live_run()
    local run = first_open()
    return run and run.status == 'live' and run or nil
end

-- The run that holds this claim, if it still stands.
local function held(key, epoch)
    local run = open_run(key)
    if run and run.epoch == epoch then return run end
    return nil
end

local function sealed_run(key)
    local ordinal = call('HGET', KEYS_OF, key)
    local packed = ordinal and call('HGET', HEADS, ordinal)
    return packed and cmsgpack.unpack(packed) or nil
end

local function owned()
    local found = call('HMGET', THREAD, 'version', 'owner')
    return found[1] and (found[2] or nil) == a.owner
end

-- Let those who wait for a run look again. They registered when they found nothing.
local function wake(key)
    local watchers = watchers_of(key)
    local processes = call('ZRANGE', watchers, 0, -1)
    if #processes > 0 then
        call('DEL', watchers)
        for _, channel in ipairs(processes) do call('PUBLISH', channel, cmsgpack.pack({ 'wake', key })) end
    end
end

-- How many of `events` are stored already, or nil for a gap.
local function stored_of(run, first_seq)
    local stored = run.last - first_seq + 1
    if stored < 0 or first_seq < 1 then return nil end
    return stored
end

local function add_events(run, first_seq, events)
    local log = log_of(run.key)
    for index = run.last - first_seq + 2, #events do
        run.last = first_seq + index - 1
        call('XADD', log, integer(run.last) .. '-0', 'e', events[index])
    end
end

local function last_position()
    local last = call('ZREVRANGE', SHOWN, 0, 0, 'WITHSCORES')
    return last[2] and tonumber(last[2]) or 0
end

-- What the indexes of other slots hold of this thread.
local function indexed()
    local found = call('HMGET', THREAD, 'last_run', 'agent_id', 'archived', 'active', 'runs', 'trimmed', 'owner')
    if not found[1] then return false end
    return { tonumber(found[1]), found[2], tonumber(found[3]), tonumber(found[4]), found[5] - found[6], found[7] }
end

-- With a.used the server itself forgets the thread when nobody has used it for as many milliseconds: all of
-- it at one moment, and never while a run is open. Comes last in a script: a key that is made later has no end.
local function used()
    if call('EXISTS', OPEN) == 1 or not a.used then
        if call('PTTL', THREAD) >= 0 then for _, key in ipairs(ALL) do call('PERSIST', key) end end
        return
    end
    for _, key in ipairs(ALL) do call('PEXPIREAT', key, integer(now + a.used)) end
end

local function claimed(run)
    local thread = call('HMGET', THREAD, 'owner', 'state', 'head')
    return { 'claimed', run.key, run.epoch, run.run_id, run.agent_id, thread[1], run.ordinal, run.last,
        last_position(), thread[2], call('HGET', OUTCOMES, thread[3] .. ':pending'), optional(run.stop),
        call('HGET', run_key_of(run.key), 'input'), run.made == '1' and 1 or 0 }
end

-- A run without its events: sealed ones are kept packed, open ones as a hash.
local function header(ordinal)
    local packed = call('HGET', HEADS, ordinal)
    if not packed then
        local key = call('ZRANGEBYSCORE', OPEN, ordinal, ordinal)[1]
        local run = key and open_run(key)
        if not run then return false end
        return { run.key, run.run_id, run.agent_id, run.ordinal, run.status, optional(run.parent), run.last, 1,
            run.created, false, false, false, false }
    end
    local run = cmsgpack.unpack(packed)
    local kept = call('HMGET', OUTCOMES, ordinal .. ':terminal', ordinal .. ':record', ordinal .. ':pending')
    local raw = call('ZSCORE', LOGS, run.key) and call('EXISTS', log_of(run.key)) or 0
    return { run.key, run.run_id, run.agent_id, run.ordinal, run.status, optional(run.parent), run.last, raw,
        run.created, run.sealed, kept[1], kept[2], kept[3] }
end

local function live_reply(run)
    if not run then return false end
    return { run.key, run.epoch, run.run_id, run.agent_id, run.ordinal, run.last, optional(run.stop),
        run.expires <= now and 1 or 0 }
end

-- Drop everything of the thread but what says that it was deleted; return the keys of its kept runs.
local function remove_thread()
    local keys = call('ZRANGE', LOGS, 0, -1)
    for _, key in ipairs(call('ZRANGE', OPEN, 0, -1)) do keys[#keys + 1] = key end
    for _, key in ipairs(keys) do
        wake(key)
        call('UNLINK', log_of(key), run_key_of(key))
    end
    call('UNLINK', unpack(ALL))
    return keys
end
