-- name: create
CREATE TABLE aliases (
    tenant text NOT NULL,
    alias  text NOT NULL,
    entity text NOT NULL,
    PRIMARY KEY (tenant, alias)
);
CREATE INDEX aliases_entity ON aliases (tenant, entity);

-- name: delete
DELETE FROM aliases WHERE tenant = $1 AND alias = ANY ($2::text[])

-- name: insert
INSERT INTO aliases SELECT * FROM json_populate_recordset(NULL::aliases, $1::json)

-- name: all
SELECT to_json(aliases) FROM aliases WHERE tenant = $1
