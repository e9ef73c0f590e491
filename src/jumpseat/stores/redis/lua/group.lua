end

-- Takes the threads in KEYS in their turn: ARGV has for each the number of its arguments, then those.
-- The answers come packed, because clients read one string faster than a list of lists.
local told, at = {}, 1
for index, key in ipairs(KEYS) do
    local count = tonumber(ARGV[at])
    local own = {}
    for place = 1, count do own[place] = ARGV[at + place] end
    told[index] = on_one({ key }, own)
    at = at + count + 1
end
return cmsgpack.pack(told)
