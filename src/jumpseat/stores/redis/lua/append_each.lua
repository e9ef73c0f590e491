-- Begins a script that appends to several threads: what comes from here to the last part is the script of one
-- append, made a function, which sees its own keys and arguments only.
local function append_to(KEYS, ARGV)
