-- name: create
-- The projector's progress stands with the views, so that both are swapped together.
CREATE TABLE progress (
    tenant   text   NOT NULL PRIMARY KEY,
    position bigint NOT NULL,
    digest   text   NOT NULL
);

-- name: read
SELECT position, digest FROM progress WHERE tenant = $1

-- name: mark
SELECT 'progress'::regclass::oid::bigint

-- name: lock
SELECT position FROM progress WHERE tenant = $1 FOR UPDATE

-- name: write
-- The digest stays: views that were begun with something else are not made ours by a page.
INSERT INTO progress (tenant, position, digest) VALUES ($1, $2, $3)
    ON CONFLICT (tenant) DO UPDATE SET position = excluded.position
