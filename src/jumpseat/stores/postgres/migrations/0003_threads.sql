-- Thread records: changing, deleting and retention.

CREATE FUNCTION jumpseat.update_thread(
    p_owner text, p_thread text, p_set_name boolean, p_name text, p_archived boolean, p_automatic boolean
) RETURNS SETOF jumpseat.threads LANGUAGE plpgsql SET lock_timeout = '10s' AS $$
DECLARE
    t jumpseat.threads;
    v_moved boolean;
    v_now bigint;
    v_name text;
    v_renamed boolean;
    v_archived boolean;
BEGIN
    SELECT * INTO t FROM jumpseat.threads WHERE id = p_thread AND owner = p_owner FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    v_name := t.name;
    v_renamed := t.renamed;
    v_archived := coalesce(p_archived, t.archived);
    IF p_set_name AND NOT (p_automatic AND t.renamed) THEN
        v_name := p_name;
        v_renamed := t.renamed OR NOT p_automatic;
    END IF;
    v_moved := v_name IS DISTINCT FROM t.name OR v_archived <> t.archived;
    IF v_moved OR v_renamed <> t.renamed THEN
        v_now := CASE WHEN v_moved THEN jumpseat.now_ms() ELSE 0 END;
        UPDATE jumpseat.threads SET
            name = v_name, renamed = v_renamed, archived = v_archived,
            updated_at = greatest(updated_at, v_now), active_at = greatest(active_at, v_now)
        WHERE tid = t.tid RETURNING * INTO t;
    END IF;
    RETURN NEXT t;
END
$$;

-- Removes one thread of an owner, or without p_thread all of them, and returns their ids. A thread that the
-- same owner deleted within the hour is named again.
CREATE FUNCTION jumpseat.delete_threads(p_owner text, p_thread text)
RETURNS TABLE (thread_id text) LANGUAGE plpgsql SET lock_timeout = '10s' AS $$
DECLARE
    v_now bigint := jumpseat.now_ms();
    v_until bigint := v_now + 3600000;
    v_tids bigint[];
    v_keys text[];
BEGIN
    SELECT array_agg(s.tid) INTO v_tids FROM (
        SELECT t.tid FROM jumpseat.threads t
        WHERE t.owner = p_owner AND (p_thread IS NULL OR t.id = p_thread)
        ORDER BY t.tid FOR UPDATE
    ) AS s;
    IF v_tids IS NULL THEN
        RETURN QUERY SELECT m.thread_id FROM jumpseat.marks m
        WHERE m.thread_id = p_thread AND m.owner = p_owner AND m.expires > v_now;
        RETURN;
    END IF;
    DELETE FROM jumpseat.marks WHERE expires <= v_now;
    DELETE FROM jumpseat.revoked WHERE expires <= v_now;
    INSERT INTO jumpseat.marks (thread_id, owner, version, expires)
    SELECT t.id, t.owner, t.version, v_until FROM jumpseat.threads t WHERE t.tid = ANY (v_tids)
    ON CONFLICT ON CONSTRAINT marks_pkey DO UPDATE
    SET owner = excluded.owner, version = excluded.version, expires = excluded.expires;
    -- Waits for appends on their way; those that come later find no run.
    PERFORM 1 FROM jumpseat.runs r WHERE r.tid = ANY (v_tids) AND r.sealed_at IS NULL
    ORDER BY r.run_key FOR UPDATE;
    INSERT INTO jumpseat.revoked (run_key, run_id, epoch, expires)
    SELECT r.run_key, r.run_id, r.epoch + 1, v_until FROM jumpseat.runs r
    WHERE r.tid = ANY (v_tids) AND r.sealed_at IS NULL
    ON CONFLICT ON CONSTRAINT revoked_pkey DO UPDATE SET epoch = excluded.epoch, expires = excluded.expires;
    v_keys := ARRAY(SELECT r.run_key FROM jumpseat.runs r WHERE r.tid = ANY (v_tids) AND r.raw > 0);
    DELETE FROM jumpseat.events WHERE run_key = ANY (v_keys);
    PERFORM jumpseat.wake(k) FROM unnest(v_keys) AS k;
    DELETE FROM jumpseat.runs WHERE tid = ANY (v_tids);
    DELETE FROM jumpseat.names WHERE tid = ANY (v_tids);
    DELETE FROM jumpseat.entries WHERE tid = ANY (v_tids) AND hidden_at IS NULL;
    DELETE FROM jumpseat.entries WHERE tid = ANY (v_tids) AND hidden_at IS NOT NULL;
    RETURN QUERY DELETE FROM jumpseat.threads t WHERE t.tid = ANY (v_tids) RETURNING t.id;
END
$$;

-- Drops up to p_limit events of a sealed run and marks its log as going, or gone; returns how many went.
CREATE FUNCTION jumpseat.drop_log(p_run_key text, p_limit integer) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    v_gone integer;
BEGIN
    DELETE FROM jumpseat.events WHERE run_key = p_run_key AND seq <= (
        SELECT max(seq) FROM (
            SELECT seq FROM jumpseat.events WHERE run_key = p_run_key ORDER BY seq LIMIT p_limit) AS oldest);
    GET DIAGNOSTICS v_gone = ROW_COUNT;
    UPDATE jumpseat.runs SET raw = CASE WHEN v_gone < p_limit THEN 0 ELSE 2 END WHERE run_key = p_run_key;
    RETURN v_gone;
END
$$;

CREATE FUNCTION jumpseat.discard_idle(p_before bigint, p_limit integer) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    v_count integer;
BEGIN
    WITH idle AS (
        SELECT tid FROM jumpseat.threads t
        WHERE active_at < p_before
          AND NOT EXISTS (SELECT 1 FROM jumpseat.runs r WHERE r.tid = t.tid AND r.sealed_at IS NULL)
        ORDER BY active_at LIMIT p_limit FOR UPDATE SKIP LOCKED
    ), gone AS (
        DELETE FROM jumpseat.threads t USING idle i WHERE t.tid = i.tid RETURNING t.tid
    )
    INSERT INTO jumpseat.garbage (tid) SELECT tid FROM gone;
    GET DIAGNOSTICS v_count = ROW_COUNT;
    RETURN v_count;
END
$$;

CREATE FUNCTION jumpseat.collect_garbage(p_limit integer) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    v_left integer := p_limit;
    v_count integer;
    v_tid bigint;
    v_key text;
BEGIN
    WHILE v_left > 0 LOOP
        SELECT tid INTO v_tid FROM jumpseat.garbage LIMIT 1 FOR UPDATE SKIP LOCKED;
        EXIT WHEN NOT FOUND;
        FOR v_key IN SELECT run_key FROM jumpseat.runs WHERE tid = v_tid ORDER BY ordinal LIMIT v_left LOOP
            EXIT WHEN v_left <= 0;
            v_left := v_left - jumpseat.drop_log(v_key, v_left);
            EXIT WHEN v_left <= 0;
            DELETE FROM jumpseat.runs WHERE run_key = v_key;
            v_left := v_left - 1;
        END LOOP;
        EXIT WHEN v_left <= 0;
        WITH gone AS (
            DELETE FROM jumpseat.entries WHERE eid IN
                (SELECT eid FROM jumpseat.entries WHERE tid = v_tid AND hidden_at IS NULL LIMIT v_left)
            RETURNING eid
        ), names AS (
            DELETE FROM jumpseat.names n USING gone g WHERE n.eid = g.eid
        )
        SELECT count(*) INTO v_count FROM gone;
        v_left := v_left - v_count;
        DELETE FROM jumpseat.entries WHERE eid IN
            (SELECT eid FROM jumpseat.entries WHERE tid = v_tid AND hidden_at IS NOT NULL
             LIMIT greatest(v_left, 0));
        GET DIAGNOSTICS v_count = ROW_COUNT;
        v_left := v_left - v_count;
        IF v_left > 0 THEN
            DELETE FROM jumpseat.garbage WHERE tid = v_tid;
        END IF;
    END LOOP;
    RETURN p_limit - v_left;
END
$$;

CREATE FUNCTION jumpseat.drop_old_logs(p_before bigint, p_limit integer) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    v_left integer := p_limit;
    v_key text;
BEGIN
    WHILE v_left > 0 LOOP
        SELECT run_key INTO v_key FROM jumpseat.runs
        WHERE raw > 0 AND sealed_at IS NOT NULL AND sealed_at <= p_before
        ORDER BY sealed_at LIMIT 1 FOR UPDATE SKIP LOCKED;
        EXIT WHEN NOT FOUND;
        v_left := v_left - jumpseat.drop_log(v_key, v_left);
        PERFORM jumpseat.wake(v_key);
    END LOOP;
    RETURN p_limit - v_left;
END
$$;

-- Takes events and payload from the runs before the newest p_keep ones of long threads, and removes the
-- hidden entries that no kept run shows.
CREATE FUNCTION jumpseat.trim_runs(p_keep bigint, p_limit integer) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    v_left integer := p_limit;
    v_count integer;
    v_last integer;
    v_trimmed integer;
    t jumpseat.threads;
    r record;
BEGIN
    WHILE v_left > 0 LOOP
        SELECT * INTO t FROM jumpseat.threads
        WHERE run_count - trimmed > p_keep AND least(run_count - p_keep, head - 1) > trimmed
        LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED;
        EXIT WHEN NOT FOUND;
        v_last := least(t.run_count - p_keep, t.head - 1);
        v_trimmed := t.trimmed;
        -- Hidden entries first: they are found by the ordinal that the counter then leaves behind.
        DELETE FROM jumpseat.entries WHERE eid IN (
            SELECT eid FROM jumpseat.entries
            WHERE tid = t.tid AND hidden_at IS NOT NULL AND hidden_at <= v_last + 1 LIMIT v_left);
        GET DIAGNOSTICS v_count = ROW_COUNT;
        v_left := v_left - v_count;
        FOR r IN SELECT run_key, ordinal FROM jumpseat.runs
                 WHERE tid = t.tid AND ordinal > v_trimmed AND ordinal <= v_last
                 ORDER BY ordinal LIMIT greatest(v_left, 0) LOOP
            v_left := v_left - jumpseat.drop_log(r.run_key, v_left);
            EXIT WHEN v_left <= 0;
            UPDATE jumpseat.runs SET pending = NULL, terminal = NULL, record = NULL, state = NULL,
                compacted = NULL WHERE run_key = r.run_key;
            v_left := v_left - 1;
            v_trimmed := r.ordinal;
            EXIT WHEN v_left <= 0;
        END LOOP;
        UPDATE jumpseat.threads SET trimmed = v_trimmed WHERE tid = t.tid;
    END LOOP;
    RETURN p_limit - v_left;
END
$$;

CREATE FUNCTION jumpseat.prune(p_max_age bigint, p_events_after bigint, p_max_runs bigint, p_limit integer)
RETURNS integer LANGUAGE plpgsql SET lock_timeout = '10s' AS $$
DECLARE
    v_now bigint := jumpseat.now_ms();
    v_left integer := p_limit;
    v_count integer;
BEGIN
    IF p_max_age IS NOT NULL THEN
        v_left := v_left - jumpseat.discard_idle(v_now - p_max_age, v_left);
    END IF;
    v_left := v_left - jumpseat.collect_garbage(v_left);
    v_left := v_left - jumpseat.drop_old_logs(v_now - p_events_after, v_left);
    IF p_max_runs IS NOT NULL THEN
        v_left := v_left - jumpseat.trim_runs(p_max_runs, v_left);
    END IF;
    DELETE FROM jumpseat.marks WHERE thread_id IN
        (SELECT thread_id FROM jumpseat.marks WHERE expires <= v_now LIMIT greatest(v_left, 0));
    GET DIAGNOSTICS v_count = ROW_COUNT;
    v_left := v_left - v_count;
    DELETE FROM jumpseat.revoked WHERE run_key IN
        (SELECT run_key FROM jumpseat.revoked WHERE expires <= v_now LIMIT greatest(v_left, 0));
    GET DIAGNOSTICS v_count = ROW_COUNT;
    RETURN p_limit - v_left + v_count;
END
$$;
