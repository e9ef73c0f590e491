-- The newest appends of all runs, one behind the other and without an index: a commit then writes the last
-- page, and not one page of the log's index for each run in it. They are merged into the log before they are
-- many; run 0 keeps the ids growing then.
CREATE TABLE arrivals (
    id INTEGER PRIMARY KEY,
    run INTEGER NOT NULL,
    last INTEGER NOT NULL,
    data BLOB NOT NULL
) STRICT;
