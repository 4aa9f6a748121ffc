-- name: entities_of_records
SELECT records.category, records.vendor, records.external_id, records.entity
  FROM unnest($2::text[], $3::text[], $4::text[]) AS wanted (category, vendor, external_id)
  JOIN records USING (category, vendor, external_id)
 WHERE records.tenant = $1

-- name: aliases
SELECT alias, entity FROM aliases WHERE tenant = $1 AND alias = ANY ($2::text[])

-- name: states
SELECT state FROM entities WHERE tenant = $1 AND entity = ANY ($2::text[])

-- name: commands
SELECT to_json(commands) FROM commands WHERE tenant = $1 AND command = ANY ($2::text[])

-- name: entities_with_any_key
SELECT DISTINCT entity FROM match_keys WHERE tenant = $1 AND category = $2 AND key = ANY ($3::text[])

-- name: absorbed
SELECT alias FROM aliases WHERE tenant = $1 AND entity = ANY ($2::text[])

-- name: unsealed
SELECT entity FROM entities WHERE tenant = $1 AND unsealed

-- name: unlinked
SELECT entity FROM entities WHERE tenant = $1 AND NOT linked AND (NOT dormant OR $2)

-- name: observed
SELECT DISTINCT entity FROM commands WHERE tenant = $1 AND state = 'held' AND reason = 'observe'

-- name: needs
SELECT records.category, records.vendor, records.external_id, records.kind, records.need, entities.dormant
  FROM records JOIN entities USING (tenant, entity)
 WHERE records.tenant = $1 AND records.vendor = $2 AND records.need IS NOT NULL
 ORDER BY records.need
 LIMIT $3

-- name: due_commands
SELECT to_json(commands) FROM commands
 WHERE tenant = $1 AND state IN ('pending', 'unknown') AND (due_at IS NULL OR due_at <= $2)
 ORDER BY due_at NULLS FIRST, issued
 LIMIT $3

-- name: flying_commands
SELECT to_json(commands) FROM commands WHERE tenant = $1 AND state = 'flying' ORDER BY issued

-- name: counts
SELECT count(*) FILTER (WHERE state IN ('pending', 'unknown', 'flying')) AS pending,
       count(*) FILTER (WHERE state = 'held') AS held,
       count(*) FILTER (WHERE state = 'dead') AS dead
  FROM commands WHERE tenant = $1

-- name: conflict_count
SELECT count(*) FROM conflicts WHERE tenant = $1

-- name: held_entities
SELECT count(*) FROM entities WHERE tenant = $1 AND state -> 'hold' ->> 'reason' IS NOT NULL

-- name: waiting
SELECT count(*) FROM entities WHERE tenant = $1 AND dormant
