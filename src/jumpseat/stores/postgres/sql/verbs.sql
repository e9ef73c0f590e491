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

-- name: append
SELECT jumpseat.append(
    %(threads)b::text[], %(run_keys)b::text[], %(epochs)b::integer[], %(firsts)b::integer[],
    %(counts)b::integer[], %(wakes)b::boolean[], %(events)b::bytea[]
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
