-- What a thread shows: the entries, and how a plan changes them.
local function meta_of(entry) return cmsgpack.unpack(call('HGET', META, entry)) end

-- A message may have more aliases than Lua's stack holds: they are not unpacked.
local function new_meta(entry, shown_from)
    local meta = { entry.position, shown_from, entry.key, entry.digest }
    for _, alias in ipairs(entry.aliases) do meta[#meta + 1] = alias end
    return meta
end

local function shown_at(position)
    return call('ZRANGEBYSCORE', SHOWN, position, position)[1]
end

-- The entries that a plan hides, as a list and a set.
local function hidden_by(plan)
    local list, set = {}, {}
    local function hide(entry)
        if entry and not set[entry] then
            set[entry] = true
            list[#list + 1] = entry
        end
    end
    if plan.hide_after then
        local loose = not plan.keep_attached
        for _, entry in ipairs(call('ZRANGEBYSCORE', SHOWN, '(' .. integer(plan.hide_after), '+inf')) do
            loose = loose or meta_of(entry)[4] ~= ''
            if loose then hide(entry) end
        end
    end
    for _, position in ipairs(plan.hide) do hide(shown_at(position)) end
    return list, set
end

-- The position at which the plan would show a second entry, or nil.
local function conflict(plan, ordinal)
    local _, hidden = hidden_by(plan)
    for _, addition in ipairs(plan.add) do
        local present = shown_at(addition.position)
        if present and not hidden[present] and meta_of(present)[2] ~= ordinal then return addition.position end
    end
    return nil
end

local function each_name(meta, visit)
    local seen = {}
    for index = 3, #meta do
        -- The digest lies between the key and the aliases.
        if index ~= 4 and not seen[meta[index]] then
            seen[meta[index]] = true
            visit(meta[index])
        end
    end
end

local function hide_entry(entry, ordinal)
    local meta = meta_of(entry)
    call('ZREM', SHOWN, entry)
    each_name(meta, function(called)
        local kept = {}
        for _, other in ipairs(cmsgpack.unpack(call('HGET', NAMES, called))) do
            if other ~= entry then kept[#kept + 1] = other end
        end
        if #kept > 0 then
            call('HSET', NAMES, called, cmsgpack.pack(kept))
        else
            call('HDEL', NAMES, called)
        end
    end)
    if meta[2] == ordinal then
        call('HDEL', META, entry)
        call('HDEL', DATA, entry)
    else
        call('ZADD', HIDDEN, ordinal, entry)
    end
end

local function show_entry(entry, meta)
    call('ZADD', SHOWN, meta[1], entry)
    each_name(meta, function(called)
        local packed = call('HGET', NAMES, called)
        local entries = packed and cmsgpack.unpack(packed) or {}
        entries[#entries + 1] = entry
        call('HSET', NAMES, called, cmsgpack.pack(entries))
    end)
end

local function apply_plan(plan, ordinal)
    for _, entry in ipairs((hidden_by(plan))) do hide_entry(entry, ordinal) end
    for _, addition in ipairs(plan.add) do
        local present = shown_at(addition.position)
        if present then hide_entry(present, ordinal) end
        local entry = integer(call('HINCRBY', THREAD, 'entries', 1))
        local meta = new_meta(addition, ordinal)
        call('HSET', META, entry, cmsgpack.pack(meta))
        call('HSET', DATA, entry, addition.data)
        show_entry(entry, meta)
    end
end

-- After a plan was applied: another version, and the digest that goes with it.
local function changed_view(plan)
    call('HINCRBY', THREAD, 'version', 1)
    if plan.digest then
        call('HSET', THREAD, 'digest', plan.digest)
    else
        call('HDEL', THREAD, 'digest')
    end
end
