-- name: create
CREATE TABLE commands (
    tenant   text    NOT NULL,
    command  text    NOT NULL,
    entity   text    NOT NULL,
    category text    NOT NULL,
    target   text    NOT NULL,
    record   text,
    fields   text[]  NOT NULL,
    state    text    NOT NULL,
    issued   bigint  NOT NULL,
    position bigint  NOT NULL,
    attempts integer NOT NULL,
    due_at   timestamptz,
    reason   text,
    detail   text,
    unconfirmed text[] NOT NULL,
    status   integer,
    backfill boolean NOT NULL,
    PRIMARY KEY (tenant, command)
);
CREATE INDEX commands_open ON commands (tenant, target, backfill, due_at, issued) WHERE state IN ('pending', 'unknown', 'flying');
CREATE INDEX commands_backfill ON commands (tenant, state) WHERE backfill;
CREATE INDEX commands_stuck ON commands (tenant, state) WHERE state IN ('held', 'dead');
CREATE INDEX commands_ignored ON commands (tenant, category) WHERE cardinality(unconfirmed) > 0;
CREATE INDEX commands_entity ON commands (tenant, entity);

-- name: delete
DELETE FROM commands WHERE tenant = $1 AND command = ANY ($2::text[])

-- name: insert
INSERT INTO commands SELECT * FROM json_populate_recordset(NULL::commands, $1::json)

-- name: all
SELECT to_json(commands) FROM commands WHERE tenant = $1
