CREATE TABLE threads (
    tid INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    owner TEXT,
    agent_id TEXT NOT NULL,
    name TEXT,
    renamed INTEGER NOT NULL DEFAULT 0,
    archived INTEGER NOT NULL DEFAULT 0,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    last_run_at INTEGER NOT NULL,
    active_at INTEGER NOT NULL,
    version INTEGER NOT NULL,
    digest BLOB,
    run_count INTEGER NOT NULL DEFAULT 0,
    head INTEGER NOT NULL DEFAULT 0,
    trimmed INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX threads_listed ON threads (owner, last_run_at DESC, id DESC, archived);
CREATE INDEX threads_of_agent ON threads (owner, agent_id, last_run_at DESC, id DESC, archived);
CREATE INDEX threads_idle ON threads (active_at);
CREATE INDEX threads_long ON threads (run_count - trimmed);

CREATE TABLE states (
    tid INTEGER PRIMARY KEY,
    state BLOB NOT NULL
) STRICT;

CREATE TABLE runs (
    rid INTEGER PRIMARY KEY AUTOINCREMENT,
    tid INTEGER NOT NULL,
    ordinal INTEGER NOT NULL,
    run_key TEXT NOT NULL UNIQUE,
    run_id TEXT NOT NULL,
    agent_id TEXT NOT NULL,
    parent INTEGER,
    status TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    holder TEXT,
    expires INTEGER NOT NULL,
    stop_reason TEXT,
    created_at INTEGER NOT NULL,
    sealed_at INTEGER,
    last_seq INTEGER NOT NULL DEFAULT 0,
    -- 1: the log is kept, 2: it is being removed, 0: it is gone
    raw INTEGER NOT NULL DEFAULT 1
) STRICT;
CREATE UNIQUE INDEX runs_in_order ON runs (tid, ordinal);
CREATE INDEX runs_by_id ON runs (tid, run_id, ordinal);
CREATE INDEX runs_open ON runs (tid, ordinal) WHERE sealed_at IS NULL;
CREATE UNIQUE INDEX runs_live ON runs (tid) WHERE status = 'live';
CREATE INDEX runs_expiring ON runs (expires) WHERE sealed_at IS NULL;
CREATE INDEX runs_held ON runs (holder) WHERE sealed_at IS NULL;
CREATE INDEX runs_raw ON runs (sealed_at) WHERE raw > 0 AND sealed_at IS NOT NULL;

-- What a queued run remembers until it is sealed.
CREATE TABLE inputs (
    rid INTEGER PRIMARY KEY,
    input BLOB NOT NULL
) STRICT;

CREATE TABLE outcomes (
    rid INTEGER PRIMARY KEY,
    pending BLOB,
    terminal BLOB,
    record BLOB,
    state BLOB,
    compacted BLOB
) STRICT;

-- One row per append: the events up to number last, as one MessagePack list. Rows of all runs lie in the
-- order of arrival, so that a commit touches few pages.
CREATE TABLE log (
    id INTEGER PRIMARY KEY,
    run INTEGER NOT NULL,
    last INTEGER NOT NULL,
    data BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX log_of_run ON log (run, last);

CREATE TABLE entries (
    eid INTEGER PRIMARY KEY,
    tid INTEGER NOT NULL,
    position INTEGER NOT NULL,
    shown_from INTEGER NOT NULL,
    hidden_at INTEGER,
    key TEXT NOT NULL,
    aliases BLOB NOT NULL,
    digest BLOB NOT NULL,
    data BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX entries_shown ON entries (tid, position) WHERE hidden_at IS NULL;
CREATE INDEX entries_hidden ON entries (tid, hidden_at) WHERE hidden_at IS NOT NULL;

-- Keys and aliases of the visible entries.
CREATE TABLE names (
    tid INTEGER NOT NULL,
    name TEXT NOT NULL,
    eid INTEGER NOT NULL,
    PRIMARY KEY (tid, name, eid)
) STRICT, WITHOUT ROWID;
CREATE INDEX names_of_entry ON names (eid);
CREATE TRIGGER entries_gone AFTER DELETE ON entries BEGIN
    DELETE FROM names WHERE eid = old.eid;
END;
CREATE TRIGGER entries_hiding AFTER UPDATE OF hidden_at ON entries BEGIN
    DELETE FROM names WHERE eid = old.eid;
END;

-- Deleted threads and the claims that went with them, for an hour.
CREATE TABLE marks (
    thread_id TEXT PRIMARY KEY,
    owner TEXT,
    version INTEGER NOT NULL,
    expires INTEGER NOT NULL
) STRICT;
CREATE INDEX marks_expiring ON marks (expires);
CREATE TABLE revoked (
    run_key TEXT PRIMARY KEY,
    thread_id TEXT NOT NULL,
    run_id TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    expires INTEGER NOT NULL
) STRICT;
CREATE INDEX revoked_expiring ON revoked (expires);

-- Threads that retention removed and whose rows still go, a few at a time.
CREATE TABLE garbage (
    tid INTEGER PRIMARY KEY
) STRICT;
