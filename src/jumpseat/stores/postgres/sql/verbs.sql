-- What the store asks for, one statement per verb and one exchange per statement. The runs' changes are
-- functions of the schema, so that a lost connection leaves no transaction open.

-- name: claim
SELECT c.kind, c.run_key, c.epoch, c.run_id, c.expired, c.ahead, c.stop_reason, c.version, c.created,
       (c.claimed).*
FROM jumpseat.claim(
    %(thread)b, %(owner)b, %(run_key)b, %(run_id)b, %(agent)b, %(parent)b, %(state)b, %(name)b, %(queue)b,
    %(max_queued)b, %(input)b, %(epoch)b, %(lease)b, {plan}, %(first)b, %(again)b
) AS c;

-- name: take
SELECT * FROM jumpseat.take(%(thread)b, %(run_key)b, %(epoch)b, %(lease)b, %(force)b);

-- name: extend
SELECT jumpseat.extend(%(thread)b, %(run_key)b, %(epoch)b, %(lease)b);

-- name: extend_group
SELECT jumpseat.extend_group(
    %(threads)b::text[], %(run_keys)b::text[], %(epochs)b::integer[], %(lease)b::bigint
);

-- name: append
SELECT jumpseat.append_group(
    %(threads)b::text[], %(run_keys)b::text[], %(epochs)b::integer[], %(firsts)b::integer[],
    %(wakes)b::boolean[], %(places)b::integer[], %(seqs)b::integer[], %(events)b::bytea[]
);

-- name: seal
SELECT jumpseat.seal(
    %(thread)b, %(run_key)b, %(epoch)b, %(status)b, %(first)b, %(events)b::bytea[], {plan}, %(state)b,
    %(compacted)b, %(terminal)b, %(record)b, %(pending)b, %(again)b
);

-- name: request_stop
SELECT * FROM jumpseat.request_stop(%(owner)b, %(thread)b, %(run_id)b, %(reason)b);

-- name: look
SELECT r.sealed_at IS NOT NULL, r.raw, r.last_seq, r.expires - jumpseat.now_ms(), ARRAY(
    SELECT data FROM (
        SELECT seq, data, sum(octet_length(data)) OVER (ORDER BY seq) AS size FROM (
            SELECT seq, data FROM jumpseat.events e
            WHERE e.run_key = r.run_key AND seq > %(after)b AND r.raw = 1 ORDER BY seq LIMIT 256
        ) AS next
    ) AS page WHERE size <= 1048576 OR seq = %(after)b + 1 ORDER BY seq
)
FROM jumpseat.runs r JOIN jumpseat.threads t ON t.tid = r.tid
WHERE r.run_key = %(run_key)b AND t.id = %(thread)b;

-- name: changed
SELECT w.run_key FROM unnest(%(run_keys)b::text[], %(afters)b::bigint[]) AS w (run_key, after)
LEFT JOIN jumpseat.runs r ON r.run_key = w.run_key
WHERE r.run_key IS NULL OR r.sealed_at IS NOT NULL OR r.raw <> 1 OR r.expires <= jumpseat.now_ms()
   OR EXISTS (SELECT 1 FROM jumpseat.events e WHERE e.run_key = w.run_key AND e.seq > w.after);

-- name: notify
SELECT pg_notify(%(channel)b, payload) FROM unnest(%(payloads)b::text[]) AS payload;

-- name: live
SELECT r.run_key, r.epoch, r.run_id, r.agent_id, r.ordinal, jumpseat.stored_seq(r.run_key), r.stop_reason,
       r.expires <= jumpseat.now_ms()
FROM jumpseat.threads t JOIN jumpseat.runs r ON r.tid = t.tid AND r.status = 'live'
WHERE t.id = %(thread)b AND t.owner = %(owner)b;

-- name: locate
SELECT t.owner = %(owner)b, t.version, t.digest, jumpseat.last_position(t.tid), t.run_count,
       f.name, f.key, f.position, f.digest, f.shown_from,
       (SELECT max(position) FROM jumpseat.entries
        WHERE tid = t.tid AND hidden_at IS NULL AND position < f.position),
       (SELECT min(position) FROM jumpseat.entries
        WHERE tid = t.tid AND hidden_at IS NULL AND position > f.position)
FROM jumpseat.threads t LEFT JOIN LATERAL (
    SELECT k.name, b.* FROM unnest(%(keys)b::text[]) AS k (name) CROSS JOIN LATERAL (
        SELECT e.key, e.position, e.digest, e.shown_from
        FROM jumpseat.names n JOIN jumpseat.entries e ON e.eid = n.eid
        WHERE n.tid = t.tid AND n.hash = hashtextextended(k.name, 0)
          AND (e.key = k.name OR k.name = ANY (e.aliases))
        ORDER BY (e.key = k.name) DESC, e.eid DESC LIMIT 1
    ) AS b
) AS f ON t.owner = %(owner)b
WHERE t.id = %(thread)b;

-- name: history
SELECT t.version, t.state, e.entries, l.run_key, l.epoch, l.run_id, l.agent_id, l.ordinal,
       jumpseat.stored_seq(l.run_key), l.stop_reason, l.expires <= jumpseat.now_ms(), {header}
FROM jumpseat.threads t
LEFT JOIN jumpseat.runs r ON r.tid = t.tid AND r.ordinal = t.head
LEFT JOIN jumpseat.runs l ON l.tid = t.tid AND l.status = 'live'
CROSS JOIN LATERAL (
    SELECT array_agg(s) AS entries FROM (
        SELECT position, key, aliases, digest, data, shown_from, hidden_at FROM jumpseat.entries
        WHERE tid = t.tid AND hidden_at IS NULL ORDER BY position
    ) AS s
) AS e
WHERE t.id = %(thread)b AND t.owner = %(owner)b;

-- name: history_at
SELECT t.version, r.state, e.entries, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, {header}
FROM jumpseat.threads t
LEFT JOIN jumpseat.runs r ON r.tid = t.tid AND r.ordinal = %(at)b
CROSS JOIN LATERAL (
    SELECT array_agg(s) AS entries FROM (
        SELECT position, key, aliases, digest, data, shown_from, hidden_at FROM jumpseat.entries
        WHERE tid = t.tid AND hidden_at IS NULL AND shown_from <= %(at)b
        UNION ALL
        SELECT position, key, aliases, digest, data, shown_from, hidden_at FROM jumpseat.entries
        WHERE tid = t.tid AND hidden_at > %(at)b AND shown_from <= %(at)b
        ORDER BY position
    ) AS s
) AS e
WHERE t.id = %(thread)b AND t.owner = %(owner)b;

-- name: run
SELECT {header} FROM jumpseat.threads t JOIN jumpseat.runs r ON r.tid = t.tid
WHERE t.id = %(thread)b AND t.owner = %(owner)b AND r.run_key = %(run_key)b;

-- name: find
SELECT {header} FROM jumpseat.threads t JOIN jumpseat.runs r ON r.tid = t.tid
WHERE t.id = %(thread)b AND t.owner = %(owner)b
  AND hashtextextended(r.run_id, 0) = hashtextextended(%(run_id)b, 0) AND r.run_id = %(run_id)b
ORDER BY r.ordinal DESC LIMIT 1;

-- name: runs
SELECT {header} FROM jumpseat.threads t JOIN jumpseat.runs r ON r.tid = t.tid
WHERE t.id = %(thread)b AND t.owner = %(owner)b AND r.ordinal > %(after)b
ORDER BY r.ordinal LIMIT %(limit)b;

-- name: events
SELECT r.run_key, r.ordinal, r.compacted FROM jumpseat.threads t JOIN jumpseat.runs r ON r.tid = t.tid
WHERE t.id = %(thread)b AND t.owner = %(owner)b AND r.ordinal > %(after)b AND r.compacted IS NOT NULL
ORDER BY r.ordinal LIMIT %(limit)b;

-- name: newest_events
SELECT r.run_key, r.ordinal, r.compacted FROM jumpseat.threads t JOIN jumpseat.runs r ON r.tid = t.tid
WHERE t.id = %(thread)b AND t.owner = %(owner)b AND (%(after)b <= 0 OR r.ordinal < %(after)b)
  AND r.compacted IS NOT NULL
ORDER BY r.ordinal DESC LIMIT %(limit)b;

-- name: expired
SELECT t.id, r.run_key, r.epoch FROM jumpseat.runs r JOIN jumpseat.threads t ON t.tid = r.tid
WHERE r.sealed_at IS NULL AND r.expires <= jumpseat.now_ms() ORDER BY r.expires LIMIT %(limit)b;

-- name: prune
SELECT jumpseat.prune(%(max_age)b, %(events_after)b, %(max_runs)b, %(limit)b);

-- name: threads
SELECT {record} FROM jumpseat.threads t
WHERE t.owner = %(owner)b AND (%(archived)b OR NOT t.archived)
  AND (%(agent)b::text IS NULL OR t.agent_id = %(agent)b)
  AND (%(time)b::bigint IS NULL OR (t.last_run_at, t.id) < (%(time)b::bigint, %(id)b::text))
ORDER BY t.last_run_at DESC, t.id DESC LIMIT %(limit)b;

-- name: thread
SELECT {record} FROM jumpseat.threads t WHERE t.id = %(thread)b AND t.owner = %(owner)b;

-- name: update_thread
SELECT {record} FROM jumpseat.update_thread(
    %(owner)b, %(thread)b, %(set_name)b, %(name)b, %(archived)b, %(automatic)b
) AS t;

-- name: delete_threads
SELECT thread_id FROM jumpseat.delete_threads(%(owner)b, %(thread)b);

-- name: dump_thread
SELECT {record}, t.tid, t.active_at, t.head, t.trimmed, t.digest, h.run_key, ARRAY(
    SELECT r.run_id FROM jumpseat.runs r WHERE r.tid = t.tid AND r.sealed_at IS NULL ORDER BY r.ordinal
), EXISTS (SELECT 1 FROM jumpseat.runs r WHERE r.tid = t.tid AND r.status = 'live')
FROM jumpseat.threads t LEFT JOIN jumpseat.runs h ON h.tid = t.tid AND h.ordinal = t.head
WHERE %(after)b::text IS NULL OR t.id > %(after)b::text
ORDER BY t.id LIMIT 1;

-- name: dump_runs
SELECT {header}, r.state FROM (
    SELECT ordinal, sum({outcome_size}) OVER (ORDER BY ordinal) AS size FROM (
        SELECT * FROM jumpseat.runs
        WHERE tid = %(tid)b AND ordinal > %(after)b AND ordinal <= %(runs)b ORDER BY ordinal LIMIT %(limit)b
    ) AS next
) AS page JOIN jumpseat.runs r ON r.tid = %(tid)b AND r.ordinal = page.ordinal
WHERE page.size <= %(bytes)b OR page.ordinal = %(after)b + 1 ORDER BY r.ordinal;

-- name: dump_entries
SELECT e.position, e.key, e.aliases, e.digest, e.data, e.shown_from, e.hidden_at, e.eid FROM (
    SELECT eid, row_number() OVER (ORDER BY eid) AS place,
           sum(octet_length(data)) OVER (ORDER BY eid) AS size FROM (
        SELECT eid, data FROM jumpseat.entries WHERE tid = %(tid)b AND hidden_at IS NULL AND eid > %(after)b
        UNION ALL
        SELECT eid, data FROM jumpseat.entries WHERE tid = %(tid)b AND hidden_at IS NOT NULL AND eid > %(after)b
        ORDER BY eid LIMIT %(limit)b
    ) AS next
) AS page JOIN jumpseat.entries e ON e.eid = page.eid
WHERE page.size <= %(bytes)b OR page.place = 1 ORDER BY e.eid;

-- name: dump_events
SELECT r.run_key, r.ordinal, r.compacted FROM (
    SELECT ordinal, row_number() OVER (ORDER BY ordinal) AS place,
           sum(octet_length(compacted)) OVER (ORDER BY ordinal) AS size FROM (
        SELECT ordinal, compacted FROM jumpseat.runs
        WHERE tid = %(tid)b AND ordinal > %(after)b AND ordinal <= %(runs)b AND compacted IS NOT NULL
        ORDER BY ordinal LIMIT %(limit)b
    ) AS next
) AS page JOIN jumpseat.runs r ON r.tid = %(tid)b AND r.ordinal = page.ordinal
WHERE page.size <= %(bytes)b OR page.place = 1 ORDER BY r.ordinal;

-- name: dump_log
SELECT ordinal, run_key FROM jumpseat.runs
WHERE tid = %(tid)b AND ordinal > %(after)b AND ordinal <= %(runs)b AND raw = 1 ORDER BY ordinal LIMIT 1;

-- name: load_limits
SELECT set_config('lock_timeout', '10s', true),
       set_config('idle_in_transaction_session_timeout', '60s', true);

-- name: load_present
SELECT t.owner, EXISTS (SELECT 1 FROM jumpseat.runs r WHERE r.tid = t.tid AND r.sealed_at IS NULL)
FROM (SELECT tid, owner FROM jumpseat.threads WHERE id = %(thread)b FOR UPDATE) AS t;

-- name: load_thread
INSERT INTO jumpseat.threads (id, owner, agent_id, name, renamed, archived, created_at, updated_at,
                              last_run_at, active_at, version, digest, run_count, head, trimmed)
VALUES (%(thread)b, %(owner)b, %(agent)b, %(name)b, %(renamed)b, %(archived)b, %(created_at)b,
        %(updated_at)b, %(last_run_at)b, %(active_at)b,
        -- As of a new thread: a plan for one that was deleted never fits it.
        greatest(jumpseat.now_ms(), (SELECT m.version + 1 FROM jumpseat.marks m WHERE m.thread_id = %(thread)b)),
        %(digest)b, %(runs)b, %(runs)b, %(trimmed)b)
ON CONFLICT (id) DO NOTHING RETURNING tid;

-- name: load_unmark
DELETE FROM jumpseat.marks WHERE thread_id = %(thread)b RETURNING version;

-- name: load_run
INSERT INTO jumpseat.runs (run_key, tid, ordinal, run_id, agent_id, parent, status, epoch, expires,
                           created_at, sealed_at, last_seq, raw, pending, terminal, record, state)
VALUES (%(run_key)b, %(tid)b, %(ordinal)b, %(run_id)b, %(agent)b, %(parent)b, %(status)b, 1, 0,
        %(created_at)b, %(sealed_at)b, %(last_seq)b, %(raw)b, %(pending)b, %(terminal)b, %(record)b, %(state)b)
RETURNING ordinal;

-- name: load_state
UPDATE jumpseat.threads t SET state = r.state FROM jumpseat.runs r
WHERE t.tid = %(tid)b AND r.tid = t.tid AND r.ordinal = t.head RETURNING t.tid;

-- name: load_entries
WITH added AS (
    INSERT INTO jumpseat.entries (tid, position, shown_from, hidden_at, key, aliases, digest, data)
    SELECT %(tid)b, e.position, e.shown_from, e.hidden_at, e.key,
           (%(aliases)b::text[])[e.behind + 1 : e.behind + e.alias_count], e.digest, e.data
    FROM unnest(%(positions)b::bigint[], %(shown)b::integer[], %(hidden)b::integer[], %(keys)b::text[],
                %(behind)b::integer[], %(alias_counts)b::integer[], %(digests)b::bytea[], %(datas)b::bytea[])
         WITH ORDINALITY AS e (position, shown_from, hidden_at, key, behind, alias_count, digest, data, place)
    ORDER BY e.place
    RETURNING eid, key, aliases, hidden_at
), named AS (
    INSERT INTO jumpseat.names (tid, hash, eid)
    SELECT DISTINCT %(tid)b, hashtextextended(n.name, 0), a.eid
    FROM added a CROSS JOIN LATERAL unnest(a.aliases || a.key) AS n (name) WHERE a.hidden_at IS NULL
)
SELECT count(*) FROM added;

-- name: load_compacted
UPDATE jumpseat.runs SET compacted = %(compacted)b WHERE run_key = %(run_key)b AND tid = %(tid)b
RETURNING ordinal;

-- name: load_log
SELECT jumpseat.store_events(%(run_key)b, %(first)b, 0, %(events)b::bytea[]);

-- part: plan
ROW(
    %(plan_version)b, %(hide_after)b, %(keep_attached)b, %(hide)b::bigint[], %(positions)b::bigint[],
    %(keys)b::text[], %(alias_counts)b::integer[], %(aliases)b::text[], %(digests)b::bytea[],
    %(datas)b::bytea[], %(digest)b
)::jumpseat.plan

-- part: header
r.run_key, r.run_id, r.agent_id, r.ordinal, r.status, r.parent,
CASE WHEN r.sealed_at IS NULL THEN jumpseat.stored_seq(r.run_key) ELSE r.last_seq END,
r.raw, r.created_at, r.sealed_at, r.terminal, r.record, r.pending

-- part: record
t.id, t.name, t.agent_id, t.owner, t.archived, t.created_at, t.updated_at, t.last_run_at, t.renamed

-- part: outcome_size
coalesce(octet_length(terminal), 0) + coalesce(octet_length(record), 0) + coalesce(octet_length(pending), 0)
+ coalesce(octet_length(state), 0)
