-- name: lock
SELECT pg_advisory_xact_lock(hashtextextended('toveis calls ' || $1, 0))

-- name: settle
UPDATE calls SET calls = $4, counted_at = $5 WHERE credential = $1 AND holder = $2 AND block = $3

-- name: forget
DELETE FROM calls WHERE credential = $1 AND counted_at < $2

-- name: of_others
SELECT calls, counted_at FROM calls WHERE credential = $1 AND holder <> $2 ORDER BY counted_at, calls

-- name: record
INSERT INTO calls (credential, holder, block, calls, counted_at) VALUES ($1, $2, $3, $4, $5)

-- name: spent
SELECT coalesce(sum(calls), 0)::bigint FROM calls WHERE credential = $1 AND counted_at > $2
