-- name: create
CREATE TABLE entities (
    tenant   text    NOT NULL,
    entity   text    NOT NULL,
    category text    NOT NULL,
    position bigint  NOT NULL,
    linked   boolean NOT NULL,
    unsealed boolean NOT NULL,
    dormant  boolean NOT NULL,
    state    json    NOT NULL,
    PRIMARY KEY (tenant, entity)
);
CREATE INDEX entities_unsealed ON entities (tenant, entity) WHERE unsealed;
CREATE INDEX entities_unlinked ON entities (tenant, entity) WHERE NOT linked;
CREATE INDEX entities_dormant ON entities (tenant, entity) WHERE dormant;
CREATE INDEX entities_held ON entities (tenant, entity) WHERE state -> 'hold' ->> 'reason' IS NOT NULL;

-- name: delete
DELETE FROM entities WHERE tenant = $1 AND entity = ANY ($2::text[])

-- name: insert
INSERT INTO entities SELECT * FROM json_populate_recordset(NULL::entities, $1::json)

-- name: all
SELECT to_json(entities) FROM entities WHERE tenant = $1
