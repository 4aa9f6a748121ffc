-- name: patience
SET LOCAL idle_in_transaction_session_timeout = 0

-- name: lock
SELECT pg_try_advisory_xact_lock(hashtextextended('toveis reconcile ' || $1, 0))

-- name: last
SELECT position, event_id, stream, version, type, schema_version, origin, occurred_at, recorded_at,
       causation_id, correlation_id, data, meta
  FROM events
 WHERE tenant = $1 AND stream = $2
 ORDER BY version DESC
 LIMIT 1

-- name: records
SELECT records.external_id, records.kind, records.parts
  FROM records JOIN entities USING (tenant, entity)
 WHERE records.tenant = $1 AND records.category = $2 AND records.vendor = $3
   AND entities.state #>> ARRAY['sides', $3, 'gone'] IS NULL
 ORDER BY records.external_id

-- name: reasons
SELECT command, state, reason FROM commands WHERE tenant = $1 AND command = ANY ($2::text[])

-- name: open_of
SELECT count(*) FROM commands
 WHERE tenant = $1 AND state IN ('pending', 'unknown', 'flying') AND entity = ANY ($2::text[])
