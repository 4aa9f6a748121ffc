-- name: known
SELECT to_regclass('toveis.migrations') IS NOT NULL

-- name: applied
SELECT name, checksum FROM toveis.migrations

-- name: create
CREATE SCHEMA IF NOT EXISTS toveis;
CREATE TABLE IF NOT EXISTS toveis.migrations (
    name       text        NOT NULL PRIMARY KEY,
    checksum   text        NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
)

-- name: remember
INSERT INTO toveis.migrations (name, checksum) VALUES ($1, $2)

-- name: try_lock
SELECT pg_try_advisory_lock(hashtextextended('toveis.migrations', 0))

-- name: unlock
SELECT pg_advisory_unlock(hashtextextended('toveis.migrations', 0))

-- name: has_views
SELECT to_regnamespace('views') IS NOT NULL

-- name: make_views
CREATE SCHEMA views;
SET LOCAL search_path = views

-- name: open_views
GRANT USAGE ON SCHEMA views TO toveis_daemon;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA views TO toveis_daemon

-- name: make_views_next
DROP SCHEMA IF EXISTS views_next CASCADE;
CREATE SCHEMA views_next;
SET LOCAL search_path = views_next

-- name: open_views_next
GRANT USAGE ON SCHEMA views_next TO toveis_daemon;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA views_next TO toveis_daemon

-- name: own_path
SET LOCAL search_path = toveis, views
