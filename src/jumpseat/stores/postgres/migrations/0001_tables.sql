-- Names of people's making are compared byte by byte (COLLATE "C"), so that pages are in the order of every
-- other store. A thread without a named owner has the owner '', a named one ':' and the name: comparisons
-- with IS NOT DISTINCT FROM use no index. Payloads are bytea: JSON types refuse \u0000.
CREATE TABLE jumpseat.threads (
    tid bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id text COLLATE "C" NOT NULL UNIQUE,
    owner text COLLATE "C" NOT NULL,
    agent_id text COLLATE "C" NOT NULL,
    name text,
    renamed boolean NOT NULL DEFAULT false,
    archived boolean NOT NULL DEFAULT false,
    created_at bigint NOT NULL,
    updated_at bigint NOT NULL,
    last_run_at bigint NOT NULL,
    active_at bigint NOT NULL,
    version bigint NOT NULL,
    digest bytea,
    state bytea,
    run_count integer NOT NULL DEFAULT 0,
    head integer NOT NULL DEFAULT 0,
    trimmed integer NOT NULL DEFAULT 0
);
CREATE INDEX threads_listed ON jumpseat.threads (owner, last_run_at DESC, id DESC, archived);
CREATE INDEX threads_of_agent ON jumpseat.threads (owner, agent_id, last_run_at DESC, id DESC, archived);
CREATE INDEX threads_idle ON jumpseat.threads (active_at);
CREATE INDEX threads_long ON jumpseat.threads ((run_count - trimmed));

CREATE TABLE jumpseat.runs (
    run_key text COLLATE "C" PRIMARY KEY,
    tid bigint NOT NULL,
    ordinal integer NOT NULL,
    run_id text COLLATE "C" NOT NULL,
    agent_id text COLLATE "C" NOT NULL,
    parent integer,
    status text NOT NULL,
    epoch integer NOT NULL,
    expires bigint NOT NULL,
    stop_reason text,
    created_at bigint NOT NULL,
    sealed_at bigint,
    -- Set by the seal; until then the log says it.
    last_seq integer NOT NULL DEFAULT 0,
    -- 1: the log is kept, 2: it is being removed, 0: it is gone
    raw smallint NOT NULL DEFAULT 1,
    input bytea,
    pending bytea,
    terminal bytea,
    record bytea,
    state bytea,
    compacted bytea
);
CREATE UNIQUE INDEX runs_in_order ON jumpseat.runs (tid, ordinal);
CREATE UNIQUE INDEX runs_live ON jumpseat.runs (tid) WHERE status = 'live';
CREATE INDEX runs_open ON jumpseat.runs (tid, ordinal) WHERE sealed_at IS NULL;
CREATE INDEX runs_raw ON jumpseat.runs (sealed_at) WHERE raw > 0 AND sealed_at IS NOT NULL;
-- Clients choose these ids: a hash fits into an index whatever their length.
CREATE INDEX runs_by_id ON jumpseat.runs (tid, hashtextextended(run_id, 0), ordinal);

CREATE TABLE jumpseat.events (
    run_key text COLLATE "C" NOT NULL,
    seq integer NOT NULL,
    data bytea NOT NULL,
    PRIMARY KEY (run_key, seq)
);

CREATE TABLE jumpseat.entries (
    eid bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tid bigint NOT NULL,
    position bigint NOT NULL,
    shown_from integer NOT NULL,
    hidden_at integer,
    key text COLLATE "C" NOT NULL,
    aliases text[] COLLATE "C" NOT NULL,
    digest bytea NOT NULL,
    data bytea NOT NULL
);
CREATE UNIQUE INDEX entries_shown ON jumpseat.entries (tid, position) WHERE hidden_at IS NULL;
CREATE INDEX entries_hidden ON jumpseat.entries (tid, hidden_at) WHERE hidden_at IS NOT NULL;

-- Hashes of the keys and aliases of the visible entries.
CREATE TABLE jumpseat.names (
    tid bigint NOT NULL,
    hash bigint NOT NULL,
    eid bigint NOT NULL,
    PRIMARY KEY (tid, hash, eid)
);
CREATE INDEX names_of_entry ON jumpseat.names (eid);

-- Deleted threads and the claims that went with them, for an hour.
CREATE TABLE jumpseat.marks (
    thread_id text COLLATE "C" PRIMARY KEY,
    owner text COLLATE "C" NOT NULL,
    version bigint NOT NULL,
    expires bigint NOT NULL
);
CREATE INDEX marks_expiring ON jumpseat.marks (expires);
CREATE TABLE jumpseat.revoked (
    run_key text COLLATE "C" PRIMARY KEY,
    run_id text COLLATE "C" NOT NULL,
    epoch integer NOT NULL,
    expires bigint NOT NULL
);
CREATE INDEX revoked_expiring ON jumpseat.revoked (expires);

-- Threads that retention removed and whose rows still go, a few at a time.
CREATE TABLE jumpseat.garbage (
    tid bigint PRIMARY KEY
);

-- How a claim or a seal changes what a thread shows. The aliases of all additions are in one array; the
-- counts say which are whose.
CREATE TYPE jumpseat.plan AS (
    version bigint,
    hide_after bigint,
    keep_attached boolean,
    hide bigint[],
    positions bigint[],
    keys text[],
    alias_counts integer[],
    aliases text[],
    digests bytea[],
    datas bytea[],
    digest bytea
);
CREATE TYPE jumpseat.claimed AS (
    run_key text,
    epoch integer,
    run_id text,
    agent_id text,
    owner text,
    ordinal integer,
    last_seq integer,
    last_position bigint,
    state bytea,
    pending bytea,
    stop_reason text,
    input bytea
);
CREATE TYPE jumpseat.claim_result AS (
    kind text,
    run_key text,
    epoch integer,
    run_id text,
    expired boolean,
    ahead integer,
    stop_reason text,
    version bigint,
    created boolean,
    claimed jumpseat.claimed
);
