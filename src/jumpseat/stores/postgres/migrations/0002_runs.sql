-- The verbs that change runs. Each is one function and so one statement: a process that dies or freezes in
-- the middle of it holds no lock, and a pooler may run every call on another connection.
-- Locks are taken in this order: the thread's row, then rows of runs by key. A writer's append locks its run
-- FOR KEY SHARE, which only those wait for who fence it (FOR UPDATE); a lease or a stop passes it by.

CREATE FUNCTION jumpseat.now_ms() RETURNS bigint LANGUAGE sql VOLATILE AS $$
    SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint
$$;

CREATE FUNCTION jumpseat.wake(p_run_key text) RETURNS void LANGUAGE sql AS $$
    SELECT pg_notify('jumpseat', p_run_key)
$$;

CREATE FUNCTION jumpseat.stored_seq(p_run_key text) RETURNS integer LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN coalesce((SELECT max(seq) FROM jumpseat.events WHERE run_key = p_run_key), 0);
END
$$;

CREATE FUNCTION jumpseat.hide_entries(p_tid bigint, p_ordinal integer, p_eids bigint[])
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM jumpseat.names WHERE eid = ANY (p_eids);
    DELETE FROM jumpseat.entries WHERE eid = ANY (p_eids) AND shown_from = p_ordinal;
    UPDATE jumpseat.entries SET hidden_at = p_ordinal WHERE eid = ANY (p_eids);
END
$$;

CREATE FUNCTION jumpseat.apply_plan(p_tid bigint, p_ordinal integer, p jumpseat.plan)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v_first bigint := p.hide_after + 1;
    v_last bigint;
    v_eid bigint;
    v_aliases text[];
    v_from integer := 1;
BEGIN
    IF p.hide_after IS NOT NULL THEN
        IF p.keep_attached THEN
            SELECT position INTO v_first FROM jumpseat.entries
            WHERE tid = p_tid AND hidden_at IS NULL AND position > p.hide_after AND digest <> ''
            ORDER BY position LIMIT 1;
        END IF;
        IF v_first IS NOT NULL THEN
            PERFORM jumpseat.hide_entries(p_tid, p_ordinal, ARRAY(
                SELECT eid FROM jumpseat.entries
                WHERE tid = p_tid AND hidden_at IS NULL AND position >= v_first));
        END IF;
    END IF;
    IF cardinality(p.hide) > 0 THEN
        PERFORM jumpseat.hide_entries(p_tid, p_ordinal, ARRAY(
            SELECT eid FROM jumpseat.entries
            WHERE tid = p_tid AND hidden_at IS NULL AND position = ANY (p.hide)));
    END IF;
    IF cardinality(p.keys) = 0 THEN
        RETURN;
    END IF;
    v_last := jumpseat.last_position(p_tid);
    FOR i IN 1 .. cardinality(p.keys) LOOP
        IF p.positions[i] <= v_last THEN
            PERFORM jumpseat.hide_entries(p_tid, p_ordinal, ARRAY(
                SELECT eid FROM jumpseat.entries WHERE tid = p_tid AND hidden_at IS NULL
                AND position = p.positions[i] AND shown_from = p_ordinal));
        END IF;
        v_last := greatest(v_last, p.positions[i]);
        v_aliases := p.aliases[v_from : v_from + p.alias_counts[i] - 1];
        v_from := v_from + p.alias_counts[i];
        INSERT INTO jumpseat.entries (tid, position, shown_from, key, aliases, digest, data)
        VALUES (p_tid, p.positions[i], p_ordinal, p.keys[i], v_aliases, p.digests[i], p.datas[i])
        ON CONFLICT (tid, position) WHERE hidden_at IS NULL DO NOTHING
        RETURNING eid INTO v_eid;
        IF NOT FOUND THEN
            RAISE EXCEPTION 'position % already shows a message of an earlier run', p.positions[i]
                USING ERRCODE = 'JS001';
        END IF;
        INSERT INTO jumpseat.names (tid, hash, eid)
        SELECT DISTINCT p_tid, hashtextextended(name, 0), v_eid FROM unnest(v_aliases || p.keys[i]) AS n (name);
    END LOOP;
END
$$;

CREATE FUNCTION jumpseat.last_position(p_tid bigint) RETURNS bigint LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN coalesce((SELECT max(position) FROM jumpseat.entries WHERE tid = p_tid AND hidden_at IS NULL), 0);
END
$$;

CREATE FUNCTION jumpseat.claimed_of(p_run_key text) RETURNS jumpseat.claimed LANGUAGE plpgsql AS $$
DECLARE
    v jumpseat.claimed;
BEGIN
    SELECT r.run_key, r.epoch, r.run_id, r.agent_id, t.owner, r.ordinal, jumpseat.stored_seq(r.run_key),
           jumpseat.last_position(r.tid), t.state, h.pending, r.stop_reason, r.input
    INTO v
    FROM jumpseat.runs r JOIN jumpseat.threads t ON t.tid = r.tid
    LEFT JOIN jumpseat.runs h ON h.tid = r.tid AND h.ordinal = t.head
    WHERE r.run_key = p_run_key;
    RETURN v;
END
$$;

CREATE FUNCTION jumpseat.start_run(
    p_tid bigint, p_ordinal integer, p_run_key text, p_plan jumpseat.plan, p_first bytea,
    p_state bytea, p_name text, p_moved_to bigint
) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO jumpseat.events (run_key, seq, data) VALUES (p_run_key, 1, p_first);
    PERFORM jumpseat.apply_plan(p_tid, p_ordinal, p_plan);
    UPDATE jumpseat.threads SET
        version = version + 1,
        digest = p_plan.digest,
        last_run_at = greatest(last_run_at, p_moved_to),
        updated_at = greatest(updated_at, p_moved_to),
        active_at = greatest(active_at, p_moved_to),
        name = CASE WHEN name IS NULL AND NOT renamed THEN p_name ELSE name END,
        state = coalesce(p_state, state)
    WHERE tid = p_tid;
    PERFORM jumpseat.wake(p_run_key);
END
$$;

-- p_again: an earlier call with these arguments got no answer; a run that it made live is the caller's.
CREATE FUNCTION jumpseat.claim(
    p_thread text, p_owner text, p_run_key text, p_run_id text, p_agent_id text, p_parent integer,
    p_state bytea, p_name text, p_queue boolean, p_max_queued integer, p_input bytea, p_epoch integer,
    p_lease bigint, p_plan jumpseat.plan, p_first bytea, p_again boolean
) RETURNS jumpseat.claim_result LANGUAGE plpgsql SET lock_timeout = '10s' AS $$
DECLARE
    v jumpseat.claim_result;
    t jumpseat.threads;
    r jumpseat.runs;
    v_now bigint;
    v_moved_to bigint := 0;
BEGIN
    LOOP
        SELECT * INTO t FROM jumpseat.threads WHERE id = p_thread FOR NO KEY UPDATE;
        EXIT WHEN FOUND;
        PERFORM jumpseat.refuse_known(p_thread, p_run_key);
        SELECT 'busy', k.run_key, k.epoch, k.run_id, false INTO v.kind, v.run_key, v.epoch, v.run_id, v.expired
        FROM jumpseat.revoked k WHERE k.run_key = p_run_key;
        IF FOUND THEN RETURN v; END IF;
        IF p_plan.version <> 0 THEN
            v.kind := 'moved';
            v.version := 0;
            RETURN v;
        END IF;
        PERFORM jumpseat.new_thread(p_thread, p_owner, p_agent_id);
        v.created := true;
    END LOOP;
    v.created := coalesce(v.created, false) AND t.run_count = 0;
    v_now := jumpseat.now_ms();
    IF t.owner <> p_owner THEN
        v.kind := 'foreign';
        RETURN v;
    END IF;
    SELECT * INTO r FROM jumpseat.runs WHERE run_key = p_run_key;
    IF FOUND THEN
        PERFORM jumpseat.refuse_known(p_thread, p_run_key);
        IF p_again AND r.status = 'live' AND r.epoch = p_epoch THEN
            v.kind := 'claimed';
            v.created := r.ordinal = 1;
            v.claimed := jumpseat.claimed_of(p_run_key);
            RETURN v;
        END IF;
        v.run_key := r.run_key;
        v.epoch := r.epoch;
        v.run_id := r.run_id;
        v.stop_reason := r.stop_reason;
        IF r.status <> 'queued' OR r.epoch <> p_epoch THEN
            v.kind := 'busy';
            v.expired := r.sealed_at IS NULL AND r.expires <= v_now;
            RETURN v;
        END IF;
        SELECT count(*) INTO v.ahead FROM jumpseat.runs
        WHERE tid = t.tid AND sealed_at IS NULL AND ordinal < r.ordinal;
        IF v.ahead > 0 THEN
            v.kind := 'queued';
            RETURN v;
        END IF;
    ELSE
        SELECT 'busy', k.run_key, k.epoch, k.run_id, false INTO v.kind, v.run_key, v.epoch, v.run_id, v.expired
        FROM jumpseat.revoked k WHERE k.run_key = p_run_key;
        IF FOUND THEN RETURN v; END IF;
        SELECT * INTO r FROM jumpseat.runs
        WHERE tid = t.tid AND sealed_at IS NULL ORDER BY ordinal LIMIT 1;
        IF FOUND THEN
            RETURN jumpseat.wait_in_line(t, r, v_now, p_run_key, p_run_id, p_agent_id, p_parent, p_queue,
                                         p_max_queued, p_input, p_lease);
        END IF;
    END IF;
    IF p_plan.version <> (CASE WHEN v.created THEN 0 ELSE t.version END) THEN
        v.kind := 'moved';
        v.version := t.version;
        RETURN v;
    END IF;
    IF r.run_key IS NULL THEN
        r := jumpseat.new_run(t.tid, v_now, p_run_key, p_run_id, p_agent_id, p_parent, 'live', p_lease, NULL);
    ELSE
        UPDATE jumpseat.runs SET status = 'live', expires = v_now + p_lease WHERE run_key = p_run_key;
    END IF;
    -- A thread that was made for this run has all its times, and they are equal.
    IF NOT v.created THEN v_moved_to := v_now; END IF;
    PERFORM jumpseat.start_run(t.tid, r.ordinal, p_run_key, p_plan, p_first, p_state, p_name, v_moved_to);
    v.kind := 'claimed';
    v.claimed := jumpseat.claimed_of(p_run_key);
    RETURN v;
END
$$;

CREATE FUNCTION jumpseat.refuse_known(p_thread text, p_run_key text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM 1 FROM jumpseat.runs r JOIN jumpseat.threads t ON t.tid = r.tid
    WHERE r.run_key = p_run_key AND t.id <> p_thread;
    IF FOUND THEN
        RAISE EXCEPTION 'run key ''%'' is used on another thread', p_run_key USING ERRCODE = 'JS001';
    END IF;
END
$$;

CREATE FUNCTION jumpseat.new_thread(p_thread text, p_owner text, p_agent_id text)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v_now bigint := jumpseat.now_ms();
    -- Begins at the clock or later, so that a plan for a deleted thread never fits its successor.
    v_version bigint := v_now;
BEGIN
    SELECT greatest(v_now, m.version + 1) INTO v_version FROM jumpseat.marks m WHERE m.thread_id = p_thread;
    INSERT INTO jumpseat.threads (id, owner, agent_id, created_at, updated_at, last_run_at, active_at, version)
    VALUES (p_thread, p_owner, p_agent_id, v_now, v_now, v_now, v_now, coalesce(v_version, v_now))
    ON CONFLICT (id) DO NOTHING;
    IF FOUND THEN
        DELETE FROM jumpseat.marks WHERE thread_id = p_thread;
    END IF;
END
$$;

CREATE FUNCTION jumpseat.new_run(
    p_tid bigint, p_now bigint, p_run_key text, p_run_id text, p_agent_id text, p_parent integer,
    p_status text, p_lease bigint, p_input bytea
) RETURNS jumpseat.runs LANGUAGE plpgsql AS $$
DECLARE
    r jumpseat.runs;
    v_ordinal integer;
BEGIN
    UPDATE jumpseat.threads SET run_count = run_count + 1 WHERE tid = p_tid RETURNING run_count INTO v_ordinal;
    INSERT INTO jumpseat.runs (run_key, tid, ordinal, run_id, agent_id, parent, status, epoch, expires,
                               created_at, input)
    VALUES (p_run_key, p_tid, v_ordinal, p_run_id, p_agent_id, p_parent, p_status, 1, p_now + p_lease,
            p_now, p_input)
    RETURNING * INTO r;
    RETURN r;
END
$$;

CREATE FUNCTION jumpseat.wait_in_line(
    t jumpseat.threads, r jumpseat.runs, p_now bigint, p_run_key text, p_run_id text, p_agent_id text,
    p_parent integer, p_queue boolean, p_max_queued integer, p_input bytea, p_lease bigint
) RETURNS jumpseat.claim_result LANGUAGE plpgsql AS $$
DECLARE
    v jumpseat.claim_result;
    v_waiting integer;
BEGIN
    SELECT count(*), count(*) FILTER (WHERE status = 'queued') INTO v.ahead, v_waiting
    FROM (SELECT status FROM jumpseat.runs
          WHERE tid = t.tid AND sealed_at IS NULL ORDER BY ordinal LIMIT p_max_queued + 2) AS line;
    IF NOT p_queue OR v_waiting >= p_max_queued THEN
        v.kind := 'busy';
        v.run_key := r.run_key;
        v.epoch := r.epoch;
        v.run_id := r.run_id;
        v.expired := r.expires <= p_now;
        RETURN v;
    END IF;
    PERFORM jumpseat.new_run(t.tid, p_now, p_run_key, p_run_id, p_agent_id, p_parent, 'queued', p_lease,
                             p_input);
    v.kind := 'queued';
    v.run_key := p_run_key;
    v.epoch := 1;
    RETURN v;
END
$$;

CREATE FUNCTION jumpseat.take(p_thread text, p_run_key text, p_epoch integer, p_lease bigint, p_force boolean)
RETURNS SETOF jumpseat.claimed LANGUAGE plpgsql SET lock_timeout = '10s' AS $$
DECLARE
    r jumpseat.runs;
BEGIN
    SELECT r1.* INTO r FROM jumpseat.runs r1 JOIN jumpseat.threads t ON t.tid = r1.tid
    WHERE r1.run_key = p_run_key AND t.id = p_thread FOR UPDATE OF r1;
    IF NOT FOUND OR r.epoch <> p_epoch OR r.sealed_at IS NOT NULL
       OR NOT (p_force OR r.expires <= jumpseat.now_ms()) THEN
        RETURN;
    END IF;
    UPDATE jumpseat.runs SET epoch = epoch + 1, expires = jumpseat.now_ms() + p_lease
    WHERE run_key = p_run_key;
    PERFORM jumpseat.wake(p_run_key);
    RETURN NEXT jumpseat.claimed_of(p_run_key);
END
$$;

CREATE FUNCTION jumpseat.extend(p_thread text, p_run_key text, p_epoch integer, p_lease bigint)
RETURNS text LANGUAGE plpgsql SET lock_timeout = '10s' AS $$
DECLARE
    v_told text;
BEGIN
    UPDATE jumpseat.runs r SET expires = jumpseat.now_ms() + p_lease
    FROM jumpseat.threads t
    WHERE r.run_key = p_run_key AND r.epoch = p_epoch AND r.sealed_at IS NULL
      AND t.tid = r.tid AND t.id = p_thread
    RETURNING CASE WHEN r.stop_reason IS NULL THEN 'held' ELSE 'stopping' END INTO v_told;
    RETURN coalesce(v_told, 'lost');
END
$$;

CREATE FUNCTION jumpseat.store_events(p_run_key text, p_first integer, p_stored integer, p_events bytea[])
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO jumpseat.events (run_key, seq, data)
    SELECT p_run_key, (p_first + place - 1)::integer, data
    FROM unnest(p_events) WITH ORDINALITY AS e (data, place)
    WHERE p_first + place - 1 > p_stored
    ON CONFLICT (run_key, seq) DO NOTHING;
END
$$;

-- Appends to several runs: the events of all of them are in one array, the counts say which are whose.
-- Answers for each 'held', 'stopping', 'lost', or the number it does not follow. One that is refused
-- leaves the others alone.
CREATE FUNCTION jumpseat.append(
    p_threads text[], p_run_keys text[], p_epochs integer[], p_firsts integer[], p_counts integer[],
    p_wakes boolean[], p_events bytea[]
) RETURNS text[] LANGUAGE plpgsql SET lock_timeout = '10s' AS $$
DECLARE
    v_told text[] := '{}';
    v_from integer := 1;
    v_stopping boolean;
    v_stored integer;
BEGIN
    FOR i IN 1 .. cardinality(p_run_keys) LOOP
        SELECT r.stop_reason IS NOT NULL,
               coalesce((SELECT max(seq) FROM jumpseat.events e WHERE e.run_key = r.run_key), 0)
        INTO v_stopping, v_stored
        FROM jumpseat.runs r JOIN jumpseat.threads t ON t.tid = r.tid
        WHERE r.run_key = p_run_keys[i] AND r.epoch = p_epochs[i] AND r.status = 'live'
          AND t.id = p_threads[i]
        FOR KEY SHARE OF r;
        IF NOT FOUND THEN
            v_told := v_told || 'lost'::text;
        ELSIF p_firsts[i] < 1 OR p_firsts[i] > v_stored + 1 THEN
            v_told := v_told || v_stored::text;
        ELSE
            v_told := v_told || CASE WHEN v_stopping THEN 'stopping' ELSE 'held' END::text;
            PERFORM jumpseat.store_events(p_run_keys[i], p_firsts[i], v_stored,
                                          p_events[v_from : v_from + p_counts[i] - 1]);
            IF p_wakes[i] THEN
                PERFORM jumpseat.wake(p_run_keys[i]);
            END IF;
        END IF;
        v_from := v_from + p_counts[i];
    END LOOP;
    RETURN v_told;
END
$$;

-- p_again: an earlier call with these arguments got no answer; a run that it sealed is sealed.
CREATE FUNCTION jumpseat.seal(
    p_thread text, p_run_key text, p_epoch integer, p_status text, p_first integer, p_events bytea[],
    p_plan jumpseat.plan, p_state bytea, p_compacted bytea, p_terminal bytea, p_record bytea,
    p_pending bytea, p_again boolean
) RETURNS text LANGUAGE plpgsql SET lock_timeout = '10s' AS $$
DECLARE
    t jumpseat.threads;
    r jumpseat.runs;
    v_stored integer;
    v_now bigint;
BEGIN
    SELECT * INTO t FROM jumpseat.threads WHERE id = p_thread FOR NO KEY UPDATE;
    SELECT * INTO r FROM jumpseat.runs WHERE run_key = p_run_key AND tid = t.tid FOR UPDATE;
    IF NOT FOUND OR r.epoch <> p_epoch THEN
        RETURN 'lost';
    END IF;
    IF p_again AND r.status = p_status AND r.last_seq = p_first + cardinality(p_events) - 1
       AND r.terminal = p_terminal THEN
        RETURN 'held';
    END IF;
    IF r.status <> 'live' THEN
        RETURN 'lost';
    END IF;
    v_stored := jumpseat.stored_seq(p_run_key);
    IF p_first < 1 OR p_first > v_stored + 1 THEN
        RETURN v_stored::text;
    END IF;
    PERFORM jumpseat.store_events(p_run_key, p_first, v_stored, p_events);
    v_now := jumpseat.now_ms();
    UPDATE jumpseat.runs SET
        status = p_status,
        sealed_at = greatest(v_now, created_at),
        last_seq = greatest(v_stored, p_first + cardinality(p_events) - 1),
        input = NULL, pending = p_pending, terminal = p_terminal, record = p_record, state = p_state,
        compacted = p_compacted
    WHERE run_key = p_run_key;
    PERFORM jumpseat.apply_plan(t.tid, r.ordinal, p_plan);
    UPDATE jumpseat.threads SET
        version = version + 1,
        digest = p_plan.digest,
        head = greatest(head, r.ordinal),
        active_at = greatest(active_at, v_now),
        state = CASE WHEN state IS DISTINCT FROM p_state THEN p_state ELSE state END
    WHERE tid = t.tid;
    PERFORM jumpseat.wake(p_run_key);
    RETURN 'held';
END
$$;

-- Flags the runs of one thread that p_run_id covers; one row of NULLs when this owner does not have it.
-- Without p_thread, all that the owner runs.
CREATE FUNCTION jumpseat.request_stop(p_owner text, p_thread text, p_run_id text, p_reason text)
RETURNS TABLE (thread_id text, run_key text, epoch integer) LANGUAGE plpgsql SET lock_timeout = '10s' AS $$
DECLARE
    v_tid bigint;
    v_keys text[];
BEGIN
    IF p_thread IS NULL THEN
        -- Begins with the open runs: how many threads have none does not matter.
        v_keys := ARRAY(
            SELECT r.run_key FROM jumpseat.runs r WHERE r.sealed_at IS NULL AND r.stop_reason IS NULL
            AND (SELECT t.owner FROM jumpseat.threads t WHERE t.tid = r.tid) = p_owner);
    ELSE
        SELECT t.tid INTO v_tid FROM jumpseat.threads t WHERE t.id = p_thread AND t.owner = p_owner;
        IF NOT FOUND THEN
            RETURN QUERY SELECT NULL::text, NULL::text, NULL::integer;
            RETURN;
        END IF;
        v_keys := ARRAY(
            SELECT r.run_key FROM jumpseat.runs r WHERE r.tid = v_tid AND r.sealed_at IS NULL
            AND r.stop_reason IS NULL AND (p_run_id IS NULL OR r.run_id = p_run_id));
    END IF;
    IF cardinality(v_keys) = 0 THEN
        RETURN;
    END IF;
    RETURN QUERY
    WITH covered AS (
        SELECT r.run_key FROM jumpseat.runs r WHERE r.run_key = ANY (v_keys)
        ORDER BY r.run_key FOR NO KEY UPDATE
    ), flagged AS (
        UPDATE jumpseat.runs r SET stop_reason = p_reason FROM covered c
        WHERE r.run_key = c.run_key AND r.stop_reason IS NULL AND r.sealed_at IS NULL
        RETURNING r.tid, r.run_key, r.epoch, r.ordinal, pg_notify('jumpseat_stop', r.run_key)
    )
    SELECT t.id, f.run_key, f.epoch FROM flagged f JOIN jumpseat.threads t ON t.tid = f.tid
    ORDER BY t.id, f.ordinal;
END
$$;
