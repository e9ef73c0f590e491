-- Begins a script that does the same on several threads: what comes from here to the last part is the script
-- for one of them, made a function, which sees its own keys and arguments only.
local function on_one(KEYS, ARGV)
