-- name: create
CREATE TABLE match_keys (
    tenant      text NOT NULL,
    category    text NOT NULL,
    key         text NOT NULL,
    vendor      text NOT NULL,
    external_id text NOT NULL,
    entity      text NOT NULL,
    PRIMARY KEY (tenant, category, key, vendor, external_id)
);
CREATE INDEX match_keys_entity ON match_keys (tenant, entity);

-- name: delete
DELETE FROM match_keys WHERE tenant = $1 AND entity = ANY ($2::text[])

-- name: insert
INSERT INTO match_keys SELECT * FROM json_populate_recordset(NULL::match_keys, $1::json)

-- name: all
SELECT to_json(match_keys) FROM match_keys WHERE tenant = $1
