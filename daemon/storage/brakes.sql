-- name: batches
SELECT to_json(batches) FROM batches WHERE tenant = $1 ORDER BY held

-- name: entities_of_batches
SELECT DISTINCT entity FROM records WHERE tenant = $1 AND batch = ANY ($2::text[])

-- name: removals
SELECT vendor, category, external_id, entity, gone, kind, parts FROM records
 WHERE tenant = $1 AND category = ANY ($2::text[]) AND gone IS NOT NULL
 ORDER BY gone

-- name: asked_for
SELECT records.vendor, records.category, count(*) AS records
  FROM records JOIN entities USING (tenant, entity)
 WHERE records.tenant = $1 AND records.need IS NOT NULL AND entities.linked
 GROUP BY records.vendor, records.category

-- name: linked_count
SELECT count(*) FROM entities WHERE tenant = $1 AND category = ANY ($2::text[]) AND linked
