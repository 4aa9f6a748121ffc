-- name: create
CREATE TABLE prospects (
    tenant        text   NOT NULL,
    entity        text   NOT NULL,
    vitec_id      text,
    propstreet_id text,
    classification text,
    vitec_level   text,
    project       text,
    party         text,
    fields        json   NOT NULL,
    position      bigint NOT NULL,
    PRIMARY KEY (tenant, entity)
);
CREATE INDEX prospects_project ON prospects (tenant, project);

-- name: delete
DELETE FROM prospects WHERE tenant = $1 AND entity = ANY ($2::text[])

-- name: insert
INSERT INTO prospects SELECT * FROM json_populate_recordset(NULL::prospects, $1::json)

-- name: all
SELECT to_json(prospects) FROM prospects WHERE tenant = $1
