-- name: create
CREATE TABLE records (
    tenant      text NOT NULL,
    category    text NOT NULL,
    vendor      text NOT NULL,
    external_id text NOT NULL,
    entity      text NOT NULL,
    kind        text,
    need        bigint,
    check_at    timestamptz,
    parts       json NOT NULL,
    gone        bigint,
    batch       text,
    PRIMARY KEY (tenant, category, vendor, external_id)
);
CREATE INDEX records_entity ON records (tenant, entity);
CREATE INDEX records_need ON records (tenant, vendor, need) WHERE need IS NOT NULL;
CREATE INDEX records_check ON records (tenant, vendor, check_at) WHERE check_at IS NOT NULL;
CREATE INDEX records_gone ON records (tenant, vendor, category) WHERE gone IS NOT NULL;
CREATE INDEX records_batch ON records (tenant, batch) WHERE batch IS NOT NULL;

-- name: delete
DELETE FROM records WHERE tenant = $1 AND entity = ANY ($2::text[])

-- name: insert
INSERT INTO records SELECT * FROM json_populate_recordset(NULL::records, $1::json)

-- name: all
SELECT to_json(records) FROM records WHERE tenant = $1
