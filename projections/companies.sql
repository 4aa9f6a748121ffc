-- name: create
CREATE TABLE companies (
    tenant        text   NOT NULL,
    entity        text   NOT NULL,
    vitec_id      text,
    propstreet_id text,
    name          text,
    organisation_number text,
    country       text,
    website       text,
    tags          text[] NOT NULL,
    strategy      text,
    fields        json   NOT NULL,
    position      bigint NOT NULL,
    PRIMARY KEY (tenant, entity)
);

-- name: delete
DELETE FROM companies WHERE tenant = $1 AND entity = ANY ($2::text[])

-- name: insert
INSERT INTO companies SELECT * FROM json_populate_recordset(NULL::companies, $1::json)

-- name: all
SELECT to_json(companies) FROM companies WHERE tenant = $1
