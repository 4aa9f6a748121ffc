-- name: create
CREATE TABLE contacts (
    tenant        text   NOT NULL,
    entity        text   NOT NULL,
    vitec_id      text,
    propstreet_id text,
    first_name    text,
    last_name     text,
    email         text,
    phone         text,
    tags          text[] NOT NULL,
    strategy      text,
    fields        json   NOT NULL,
    position      bigint NOT NULL,
    PRIMARY KEY (tenant, entity)
);

-- name: delete
DELETE FROM contacts WHERE tenant = $1 AND entity = ANY ($2::text[])

-- name: insert
INSERT INTO contacts SELECT * FROM json_populate_recordset(NULL::contacts, $1::json)

-- name: all
SELECT to_json(contacts) FROM contacts WHERE tenant = $1
