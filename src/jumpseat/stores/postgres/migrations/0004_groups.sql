-- Renews the leases of several runs: 'held', 'stopping' or 'lost' for each, and 'busy' for one that somebody
-- else is changing, which is not waited for.
CREATE FUNCTION jumpseat.extend_group(p_threads text[], p_run_keys text[], p_epochs integer[], p_lease bigint)
RETURNS text[] LANGUAGE sql VOLATILE AS $$
    WITH asked AS (
        SELECT a.place, a.run_key, a.epoch, a.thread
        FROM unnest(p_run_keys, p_epochs, p_threads) WITH ORDINALITY AS a (run_key, epoch, thread, place)
    ), free AS (
        SELECT a.place, r.run_key FROM asked a CROSS JOIN LATERAL (
            SELECT r.run_key FROM jumpseat.runs r
            WHERE r.run_key = a.run_key AND r.epoch = a.epoch AND r.sealed_at IS NULL
              AND (SELECT t.id FROM jumpseat.threads t WHERE t.tid = r.tid) = a.thread
            FOR NO KEY UPDATE SKIP LOCKED
        ) AS r
    ), renewed AS (
        UPDATE jumpseat.runs r SET expires = jumpseat.now_ms() + p_lease FROM free f
        WHERE r.run_key = f.run_key
        RETURNING f.place, CASE WHEN r.stop_reason IS NULL THEN 'held' ELSE 'stopping' END AS told
    )
    SELECT array_agg(coalesce(n.told, CASE WHEN EXISTS (
        SELECT 1 FROM jumpseat.runs r JOIN jumpseat.threads t ON t.tid = r.tid
        WHERE r.run_key = a.run_key AND r.epoch = a.epoch AND r.sealed_at IS NULL AND t.id = a.thread
    ) THEN 'busy' ELSE 'lost' END) ORDER BY a.place)
    FROM asked a LEFT JOIN renewed n ON n.place = a.place
$$;

-- As append, for many runs at once; no run may come twice. Events are in p_events, one after the other; p_places
-- says for each which run of p_run_keys it is of, p_seqs its number. The rows of runs are locked in the order of
-- p_run_keys.
-- Processes that began before this was here go on with append, also while others use this.
CREATE FUNCTION jumpseat.append_group(
    p_threads text[], p_run_keys text[], p_epochs integer[], p_firsts integer[], p_wakes boolean[],
    p_places integer[], p_seqs integer[], p_events bytea[]
) RETURNS text[] LANGUAGE plpgsql
-- Otherwise each call is planned anew: plans for arrays whose length is known look cheaper than they are.
SET plan_cache_mode = force_generic_plan SET lock_timeout = '10s' AS $$
DECLARE
    v_told text[];
    -- Without a number for those that are refused.
    v_stored integer[];
BEGIN
    SELECT array_agg(CASE WHEN r.run_key IS NULL THEN 'lost'
                          WHEN a.first < 1 OR a.first > r.stored + 1 THEN r.stored::text
                          WHEN r.stopping THEN 'stopping' ELSE 'held' END ORDER BY a.place),
           array_agg(CASE WHEN a.first BETWEEN 1 AND r.stored + 1 THEN r.stored END ORDER BY a.place)
    INTO v_told, v_stored
    FROM unnest(p_threads, p_run_keys, p_epochs, p_firsts)
         WITH ORDINALITY AS a (thread, run_key, epoch, first, place)
    LEFT JOIN LATERAL (
        SELECT r.run_key, r.stop_reason IS NOT NULL AS stopping,
               coalesce((SELECT max(e.seq) FROM jumpseat.events e WHERE e.run_key = r.run_key), 0) AS stored
        FROM jumpseat.runs r
        WHERE r.run_key = a.run_key AND r.epoch = a.epoch AND r.status = 'live'
          AND (SELECT t.id FROM jumpseat.threads t WHERE t.tid = r.tid) = a.thread
        FOR KEY SHARE OF r
    ) AS r ON true;
    INSERT INTO jumpseat.events (run_key, seq, data)
    SELECT p_run_keys[e.place], e.seq, e.data FROM unnest(p_places, p_seqs, p_events) AS e (place, seq, data)
    WHERE e.seq > v_stored[e.place]
    ON CONFLICT (run_key, seq) DO NOTHING;
    IF true = ANY (p_wakes) THEN
        PERFORM pg_notify('jumpseat', w.run_key)
        FROM unnest(p_run_keys, p_wakes, v_stored) AS w (run_key, wake, stored)
        WHERE w.wake AND w.stored IS NOT NULL;
    END IF;
    RETURN v_told;
END
$$;
