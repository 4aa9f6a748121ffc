-- name: columns
SELECT table_name::text AS name, array_agg(column_name::text) AS columns FROM information_schema.columns
 WHERE table_schema = $1 GROUP BY table_name

-- name: try_lock
SELECT pg_try_advisory_lock(hashtextextended('toveis views', 0))

-- name: clear
WITH no_entities AS (DELETE FROM entities WHERE tenant = $1),
     no_records AS (DELETE FROM records WHERE tenant = $1),
     no_match_keys AS (DELETE FROM match_keys WHERE tenant = $1),
     no_aliases AS (DELETE FROM aliases WHERE tenant = $1),
     no_contacts AS (DELETE FROM contacts WHERE tenant = $1),
     no_companies AS (DELETE FROM companies WHERE tenant = $1),
     no_projects AS (DELETE FROM projects WHERE tenant = $1),
     no_prospects AS (DELETE FROM prospects WHERE tenant = $1),
     no_leads AS (DELETE FROM leads WHERE tenant = $1),
     no_commands AS (DELETE FROM commands WHERE tenant = $1),
     no_conflicts AS (DELETE FROM conflicts WHERE tenant = $1),
     no_batches AS (DELETE FROM batches WHERE tenant = $1)
DELETE FROM progress WHERE tenant = $1

-- name: next_path
SET LOCAL search_path = views_next, toveis

-- name: own_path
SET LOCAL search_path = toveis, views

-- name: patience
SET LOCAL lock_timeout = '1s'

-- name: block
LOCK TABLE views.progress IN EXCLUSIVE MODE

-- name: drop_previous
DROP SCHEMA IF EXISTS views_previous CASCADE

-- name: swap
ALTER SCHEMA views RENAME TO views_previous;
ALTER SCHEMA views_next RENAME TO views

-- name: has_previous
SELECT to_regnamespace('views_previous') IS NOT NULL

-- name: previous_differ
SELECT EXISTS (SELECT FROM views.progress AS now JOIN views_previous.progress AS before USING (tenant)
                WHERE now.digest <> before.digest)

-- name: roll_back
ALTER SCHEMA views RENAME TO views_turning;
ALTER SCHEMA views_previous RENAME TO views;
ALTER SCHEMA views_turning RENAME TO views_previous

-- name: check_log
WITH numbered AS (
    SELECT stream, position, version,
           row_number() OVER (ORDER BY position) AS place,
           row_number() OVER (PARTITION BY stream ORDER BY position) AS step
      FROM toveis.events WHERE tenant = $1
)
SELECT stream, 'position' AS what, position AS found, place AS wanted FROM numbered WHERE position <> place
 UNION ALL
SELECT stream, 'version', version, step FROM numbered WHERE version <> step
 UNION ALL
SELECT min(stream), 'event_id', count(*), 1 FROM toveis.events WHERE tenant = $1
 GROUP BY event_id HAVING count(*) > 1
 ORDER BY what, found
 LIMIT 100
