-- name: create
CREATE TABLE leads (
    tenant      text        NOT NULL,
    entity      text        NOT NULL,
    kind        text        NOT NULL,
    received_at timestamptz NOT NULL,
    customer    text        NOT NULL,
    estate      text,
    email       text,
    state       text        NOT NULL,
    vitec_id    text,
    position    bigint      NOT NULL,
    PRIMARY KEY (tenant, entity)
);
CREATE INDEX leads_email ON leads (tenant, email);
CREATE INDEX leads_vitec_id ON leads (tenant, vitec_id);

-- name: delete
DELETE FROM leads WHERE tenant = $1 AND entity = ANY ($2::text[])

-- name: insert
INSERT INTO leads SELECT * FROM json_populate_recordset(NULL::leads, $1::json)

-- name: all
SELECT to_json(leads) FROM leads WHERE tenant = $1
