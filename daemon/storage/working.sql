-- name: checkpoint
SELECT position FROM checkpoints WHERE tenant = $1 AND processor = $2

-- name: move_checkpoint
WITH moved AS (
    INSERT INTO checkpoints (tenant, processor, position) VALUES ($1, $2, $3)
        ON CONFLICT (tenant, processor) DO UPDATE SET position = excluded.position
)
SELECT pg_notify('toveis_reads', $1)

-- name: cursor
SELECT cursor, complete, started_at, looked_at FROM cursors WHERE tenant = $1 AND source = $2

-- name: open_cursor
INSERT INTO cursors (tenant, source, started_at) VALUES ($1, $2, $3)
    ON CONFLICT (tenant, source) DO NOTHING

-- name: move_cursor
UPDATE cursors SET cursor = coalesce($3, cursor) WHERE tenant = $1 AND source = $2

-- name: complete_cursor
WITH moved AS (
    UPDATE cursors SET complete = $3, looked_at = $4 WHERE tenant = $1 AND source = $2
)
SELECT pg_notify('toveis_reads', $1)

-- name: cursors
SELECT source, cursor, complete, started_at, looked_at FROM cursors
 WHERE tenant = $1 AND source NOT LIKE '%:%:%' ORDER BY source

-- name: reads
SELECT stream, started, ended, listed, listed_at, read_at FROM reads WHERE tenant = $1 AND stream = ANY ($2::text[])

-- name: forget_reads
DELETE FROM reads WHERE tenant = $1

-- name: forget_cursors
UPDATE cursors SET cursor = NULL, complete = CASE WHEN complete IS NOT NULL THEN -1 END, looked_at = NULL
 WHERE tenant = $1

-- name: note_away
INSERT INTO away (tenant, vendor, since, next_look) VALUES ($1, $2, $3, $4)
    ON CONFLICT (tenant, vendor) DO UPDATE SET since = excluded.since, next_look = excluded.next_look

-- name: note_back
DELETE FROM away WHERE tenant = $1 AND vendor = $2

-- name: away
SELECT vendor, since, next_look FROM away WHERE tenant = $1 ORDER BY vendor

-- name: ask_polls
SELECT pg_notify('toveis_polls', $1)

-- name: ask_again
SELECT pg_notify('toveis_retries', $1)

-- name: tell_views
SELECT pg_notify('toveis_views', $1)
