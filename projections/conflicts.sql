-- name: create
CREATE TABLE conflicts (
    tenant          text    NOT NULL,
    conflict        text    NOT NULL,
    entity          text    NOT NULL,
    field           text    NOT NULL,
    winner          text    NOT NULL,
    winner_value    json,
    loser           text    NOT NULL,
    loser_value     json,
    loser_since     timestamptz,
    reason          text    NOT NULL,
    order_uncertain boolean NOT NULL,
    position        bigint  NOT NULL,
    category        text    NOT NULL,
    at              timestamptz NOT NULL,
    restores        text,
    by              text,
    PRIMARY KEY (tenant, conflict)
);
CREATE INDEX conflicts_entity ON conflicts (tenant, entity);
CREATE INDEX conflicts_restores ON conflicts (tenant, restores) WHERE restores IS NOT NULL;

-- name: delete
DELETE FROM conflicts WHERE tenant = $1 AND conflict = ANY ($2::text[])

-- name: insert
INSERT INTO conflicts SELECT * FROM json_populate_recordset(NULL::conflicts, $1::json)

-- name: all
SELECT to_json(conflicts) FROM conflicts WHERE tenant = $1
