-- name: lock
SELECT pg_advisory_xact_lock(hashtextextended('toveis.events.' || $1, 0))

-- name: state
SELECT (SELECT coalesce(max(position), 0) FROM events WHERE tenant = $1) AS head,
       (SELECT coalesce(array_agg(event_id), '{}') FROM events WHERE tenant = $1 AND event_id = ANY ($2::uuid[])) AS stored,
       (SELECT coalesce(array_agg(coalesce(newest.version, 0) ORDER BY wanted.n), '{}')
          FROM unnest($3::text[]) WITH ORDINALITY AS wanted (stream, n)
          LEFT JOIN LATERAL (SELECT version FROM events e
                              WHERE e.tenant = $1 AND e.stream = wanted.stream
                              ORDER BY version DESC LIMIT 1) AS newest ON true) AS versions

-- name: insert
WITH inserted AS (
    INSERT INTO events (tenant, position, event_id, stream, version, type, schema_version, origin,
                        occurred_at, recorded_at, causation_id, correlation_id, data, meta)
    SELECT $1, position, event_id, stream, version, type, $2, origin, occurred_at, $3, causation_id, correlation_id, data, meta
      FROM unnest($4::bigint[], $5::uuid[], $6::text[], $7::integer[], $8::text[], $9::text[],
                  $10::timestamptz[], $11::uuid[], $12::uuid[], $13::json[], $14::json[])
        AS row (position, event_id, stream, version, type, origin, occurred_at, causation_id, correlation_id, data, meta)
)
SELECT pg_notify('toveis', $1)

-- name: append
SELECT id, place FROM append($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)

-- name: observed
SELECT wanted.stream, newest.event_id, newest.data, newest.meta, reads.ended
  FROM unnest($2::text[]) AS wanted (stream)
  -- what was gone and is back is news, also if it looks as before
  LEFT JOIN LATERAL (SELECT event_id, meta, CASE type WHEN 'RecordObserved' THEN data END AS data FROM events e
                      WHERE e.tenant = $1 AND e.stream = wanted.stream
                        AND e.type IN ('RecordObserved', 'RecordRemoved')
                      ORDER BY version DESC LIMIT 1) AS newest ON true
  LEFT JOIN reads ON reads.tenant = $1 AND reads.stream = wanted.stream

-- name: remember_reads
INSERT INTO reads AS known (tenant, stream, started, ended, listed, listed_at, read_at)
SELECT $1, stream, started, ended, listed, CASE WHEN listed IS NOT NULL THEN $6::timestamptz END, $6::timestamptz
  FROM unnest($2::text[], $3::bigint[], $4::bigint[], $5::text[]) AS row (stream, started, ended, listed)
    ON CONFLICT (tenant, stream) DO UPDATE
   SET started = greatest(known.started, excluded.started),
       ended = greatest(known.ended, excluded.ended),
       listed_at = CASE WHEN excluded.listed IS NULL OR excluded.listed = known.listed
                        THEN known.listed_at ELSE excluded.listed_at END,
       listed = coalesce(excluded.listed, known.listed),
       read_at = excluded.read_at

-- name: head
SELECT coalesce(max(position), 0) FROM events WHERE tenant = $1

-- name: page
SELECT position, event_id, stream, version, type, schema_version, origin, occurred_at, recorded_at,
       causation_id, correlation_id, data, meta
  FROM events
 WHERE tenant = $1 AND position > $2
 ORDER BY position
 LIMIT $3

-- name: streams
SELECT position, event_id, stream, version, type, schema_version, origin, occurred_at, recorded_at,
       causation_id, correlation_id, data, meta
  FROM events
 WHERE tenant = $1 AND stream = ANY ($2::text[]) AND position > $3
 ORDER BY position

-- name: at
SELECT position, event_id, stream, version, type, schema_version, origin, occurred_at, recorded_at,
       causation_id, correlation_id, data, meta
  FROM events
 WHERE tenant = $1 AND position = $2

-- name: called
SELECT position, event_id, stream, version, type, schema_version, origin, occurred_at, recorded_at,
       causation_id, correlation_id, data, meta
  FROM events
 WHERE tenant = $1 AND event_id BETWEEN $2 AND $3
 ORDER BY event_id
 LIMIT $4

-- name: tenants
SELECT DISTINCT tenant FROM events ORDER BY tenant

-- name: incarnation
SELECT mark FROM incarnation

-- name: incarnations
SELECT mark, 0 AS version FROM incarnation
 UNION ALL
SELECT (data ->> 'mark')::uuid, version FROM events WHERE tenant = $1 AND stream = $2
 ORDER BY version

-- name: restored
SELECT (data ->> 'mark')::uuid AS mark, position AS since, version AS restores FROM events
 WHERE tenant = $1 AND stream = $2
 ORDER BY version DESC
 LIMIT 1
