-- name: create
CREATE TABLE projects (
    tenant        text   NOT NULL,
    entity        text   NOT NULL,
    vitec_id      text,
    propstreet_id text,
    name          text,
    classification text,
    status        text,
    stage         text,
    price         text,
    fields        json   NOT NULL,
    position      bigint NOT NULL,
    PRIMARY KEY (tenant, entity)
);
CREATE INDEX projects_name ON projects (tenant, lower(name));

-- name: delete
DELETE FROM projects WHERE tenant = $1 AND entity = ANY ($2::text[])

-- name: insert
INSERT INTO projects SELECT * FROM json_populate_recordset(NULL::projects, $1::json)

-- name: all
SELECT to_json(projects) FROM projects WHERE tenant = $1
