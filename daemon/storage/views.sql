-- name: entities_of_records
SELECT records.category, records.vendor, records.external_id, records.entity
  FROM unnest($2::text[], $3::text[], $4::text[]) AS wanted (category, vendor, external_id)
  JOIN records USING (category, vendor, external_id)
 WHERE records.tenant = $1

-- name: aliases
SELECT alias, entity FROM aliases WHERE tenant = $1 AND alias = ANY ($2::text[])

-- name: states
SELECT state FROM entities WHERE tenant = $1 AND entity = ANY ($2::text[])

-- name: entity_names
SELECT entity FROM entities WHERE tenant = $1 AND entity > $2 ORDER BY entity LIMIT $3

-- name: commands
SELECT to_json(commands) FROM commands WHERE tenant = $1 AND command = ANY ($2::text[])

-- name: batches
SELECT to_json(batches) FROM batches WHERE tenant = $1 AND batch = ANY ($2::text[])

-- name: entities_with_any_key
SELECT DISTINCT entity FROM match_keys WHERE tenant = $1 AND category = $2 AND key = ANY ($3::text[])

-- name: entities_by_key
SELECT key, entity FROM match_keys WHERE tenant = $1 AND category = $2 AND key = ANY ($3::text[])

-- name: absorbed
SELECT alias FROM aliases WHERE tenant = $1 AND entity = ANY ($2::text[])

-- name: unsealed
SELECT entity FROM entities WHERE tenant = $1 AND unsealed

-- name: unlinked
SELECT entity FROM entities WHERE tenant = $1 AND category = $2 AND NOT linked AND NOT dormant

-- name: dormant
SELECT entity FROM entities WHERE tenant = $1 AND category = $2 AND dormant ORDER BY position, entity

-- name: dependents
SELECT DISTINCT match_keys.entity
  FROM match_keys JOIN entities USING (tenant, entity)
 WHERE match_keys.tenant = $1 AND match_keys.category = ANY ($2::text[]) AND match_keys.key = ANY ($3::text[])
   AND (NOT entities.linked OR $4)

-- name: linked_records
SELECT records.external_id
  FROM records JOIN entities USING (tenant, entity)
 WHERE records.tenant = $1 AND records.category = $2 AND records.vendor = $3 AND entities.linked
 ORDER BY records.external_id

-- name: refused_fields
WITH refused AS (
    SELECT target, category, unnest(fields) AS field, position FROM commands
     WHERE tenant = $1 AND state IN ('held', 'discarded') AND reason = 'not_writable' AND attempts > 0
       AND category = ANY ($2::text[])
     UNION ALL
    SELECT target, category, unnest(unconfirmed), position FROM commands
     WHERE tenant = $1 AND cardinality(unconfirmed) > 0 AND category = ANY ($2::text[])
)
SELECT DISTINCT target, category, field FROM refused
 -- what an operator released since is tried once more
 WHERE NOT EXISTS (SELECT FROM commands AS released
                    WHERE released.tenant = $1 AND released.state = 'released' AND released.target = refused.target
                      AND released.category = refused.category AND refused.field = ANY (released.fields)
                      AND released.position > refused.position)

-- name: leads_of
SELECT entity FROM leads WHERE tenant = $1 AND (email = $2 OR vitec_id = $3) ORDER BY received_at DESC

-- name: waiting_leads
SELECT entity FROM leads WHERE tenant = $1 AND state = 'waiting'

-- name: projects_named
SELECT entity FROM projects WHERE tenant = $1 AND lower(name) = lower($2)

-- name: observed
SELECT DISTINCT entity FROM commands WHERE tenant = $1 AND state = 'held' AND reason = 'observe'

-- name: unsent
SELECT DISTINCT entity FROM commands WHERE tenant = $1 AND state = 'pending'

-- name: needs
SELECT records.category, records.vendor, records.external_id, records.kind,
       coalesce(records.need, entities.position) AS need, records.parts,
       -- nobody has edited it since the first poll, as far as we were told
       entities.dormant OR entities.state ->> 'backfill' IS NOT NULL
                       AND entities.state #>> ARRAY['sides', $2, 'first'] IS NULL AS backfill
  FROM records JOIN entities USING (tenant, entity)
 WHERE records.tenant = $1 AND records.vendor = $2 AND (records.need IS NOT NULL OR records.check_at <= $3)
   -- what nobody can address yet is left to the polls
   AND (records.category NOT IN ('prospect', 'link', 'note') OR records.parts::text <> '{}')
   AND (records.category NOT IN ('project', 'property') OR records.vendor <> 'vitec' OR records.kind IS NOT NULL)
 ORDER BY backfill, need, records.category, records.external_id
 LIMIT $4

-- name: due_commands
SELECT to_json(commands) FROM commands
 WHERE tenant = $1 AND target = $2 AND state IN ('pending', 'unknown') AND (due_at IS NULL OR due_at <= $3)
   AND NOT EXISTS (SELECT FROM unnest($5::text[], $6::bigint[]) AS rests (command, position)
                    WHERE rests.command = commands.command AND rests.position = commands.position)
 ORDER BY backfill, record IS NULL, due_at NULLS LAST, issued
 LIMIT $4

-- name: flying_commands
SELECT to_json(commands) FROM commands WHERE tenant = $1 AND state = 'flying' ORDER BY issued

-- name: commands_in
SELECT to_json(commands) FROM commands WHERE tenant = $1 AND state = ANY ($2::text[]) ORDER BY issued

-- name: commands_like
SELECT to_json(commands) FROM commands WHERE tenant = $1 AND starts_with(command, $2)
 ORDER BY state IN ('pending', 'unknown', 'flying', 'held', 'dead') DESC, issued DESC
 LIMIT $3

-- name: counts
SELECT (SELECT count(*) FROM commands WHERE tenant = $1 AND state IN ('pending', 'unknown', 'flying')) AS pending,
       count(*) FILTER (WHERE state = 'held') AS held,
       count(*) FILTER (WHERE state = 'dead') AS dead
  FROM commands WHERE tenant = $1 AND state IN ('held', 'dead')

-- name: conflict_count
SELECT count(*) FROM conflicts WHERE tenant = $1

-- name: conflicts_since
SELECT to_json(conflicts) AS lost,
       (SELECT coalesce(again.by, 'an operator') FROM conflicts again WHERE again.tenant = conflicts.tenant AND again.restores = conflicts.conflict
         ORDER BY again.position DESC LIMIT 1) AS restored_by
  FROM conflicts
 WHERE tenant = $1 AND ($2::timestamptz IS NULL OR at >= $2) AND (restores IS NULL OR $3)
 ORDER BY position

-- name: conflicts_called
SELECT to_json(conflicts) FROM conflicts WHERE tenant = $1 AND starts_with(conflict, $2) ORDER BY position LIMIT $3

-- name: held_entities
SELECT count(*) FROM entities
 WHERE tenant = $1 AND state -> 'hold' ->> 'reason' IS NOT NULL AND state -> 'hold' ->> 'quiet' IS NULL

-- name: held
SELECT entity, category, position, state -> 'hold' AS hold FROM entities
 WHERE tenant = $1 AND state -> 'hold' ->> 'reason' IS NOT NULL AND state -> 'hold' ->> 'quiet' IS NULL
 ORDER BY (state -> 'hold' ->> 'position')::bigint

-- name: entities_like
SELECT state FROM entities
 WHERE tenant = $1 AND starts_with(entity, $2) AND (state ->> 'tombstone' IS NOT NULL OR state ->> 'hold' IS NOT NULL)
 ORDER BY entity
 LIMIT $3

-- name: joining
SELECT entity FROM entities
 WHERE tenant = $1 AND (category = ANY ($2::text[]) AND linked AND state ->> 'tombstone' IS NULL
        OR state #>> '{sides,vitec,into}' IS NOT NULL AND state #>> '{sides,vitec,gone}' IS NOT NULL)

-- name: waiting
SELECT category, count(*) AS entities FROM entities
 WHERE tenant = $1 AND dormant
   AND category NOT IN (SELECT category FROM batches WHERE tenant = $1 AND kind = 'first_sync')
 GROUP BY category ORDER BY category

-- name: backfilled
SELECT target, count(*) FILTER (WHERE state NOT IN ('pending', 'unknown', 'flying', 'superseded')) AS ended,
       count(*) FILTER (WHERE state IN ('pending', 'unknown', 'flying')) AS open
  FROM commands WHERE tenant = $1 AND backfill AND issued > $2 GROUP BY target ORDER BY target

-- name: joined_records
SELECT match_keys.external_id
  FROM match_keys JOIN entities USING (tenant, entity)
 WHERE match_keys.tenant = $1 AND match_keys.category = $2 AND match_keys.vendor = $3 AND match_keys.key = $4
   AND entities.state #>> ARRAY['sides', $3, 'gone'] IS NULL

-- name: estates_to_look_at
SELECT records.external_id, records.kind
  FROM records JOIN entities USING (tenant, entity)
  LEFT JOIN toveis.reads ON reads.tenant = records.tenant
        AND reads.stream = 'project:vitec:' || records.external_id
 WHERE records.tenant = $1 AND records.category = 'project' AND records.vendor = 'vitec' AND records.kind IS NOT NULL
   AND entities.state #>> '{sides,vitec,gone}' IS NULL
   AND (reads.read_at IS NULL OR reads.read_at < $2
        OR entities.state #>> '{sides,vitec,shadow,classification,value}' = 'active'
       AND entities.state #>> '{sides,vitec,shadow,status,value}' IS DISTINCT FROM 'closed')
 ORDER BY reads.read_at NULLS FIRST, records.external_id

-- name: kinds
SELECT external_id, kind FROM records
 WHERE tenant = $1 AND category = $2 AND vendor = $3 AND external_id = ANY ($4::text[]) AND kind IS NOT NULL

-- name: owners_to_look_at
SELECT records.external_id, records.kind
  FROM records JOIN entities USING (tenant, entity)
  LEFT JOIN toveis.reads ON reads.tenant = records.tenant
        AND reads.stream = records.category || ':' || records.vendor || ':' || records.external_id
  LEFT JOIN toveis.cursors ON cursors.tenant = records.tenant AND cursors.source = $4 || ':' || records.external_id
 WHERE records.tenant = $1 AND records.category = ANY ($2::text[]) AND records.vendor = $3 AND entities.linked
   AND records.kind IS NOT NULL AND entities.state #>> ARRAY['sides', $3, 'gone'] IS NULL
   AND (cursors.looked_at IS NULL OR cursors.looked_at < $5 OR reads.read_at > cursors.looked_at)
 ORDER BY cursors.looked_at NULLS FIRST, records.category, records.external_id

-- name: owners_of_notes
SELECT records.category, records.external_id, records.parts
  FROM records JOIN entities USING (tenant, entity)
  LEFT JOIN toveis.cursors ON cursors.tenant = records.tenant
        AND cursors.source = $4 || ':' || records.category || ':' || records.external_id
 WHERE records.tenant = $1 AND records.category = ANY ($2::text[]) AND records.vendor = $3 AND entities.linked
   AND entities.state #>> ARRAY['sides', $3, 'gone'] IS NULL
 ORDER BY cursors.looked_at NULLS FIRST, records.category, records.external_id
