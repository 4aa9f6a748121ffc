-- name: create
CREATE TABLE batches (
    tenant   text    NOT NULL,
    batch    text    NOT NULL,
    kind     text    NOT NULL,
    vendor   text    NOT NULL,
    category text    NOT NULL,
    count    integer NOT NULL,
    most     integer NOT NULL,
    detail   text    NOT NULL,
    held     bigint  NOT NULL,
    released bigint,
    PRIMARY KEY (tenant, batch)
);

-- name: delete
DELETE FROM batches WHERE tenant = $1 AND batch = ANY ($2::text[])

-- name: insert
INSERT INTO batches SELECT * FROM json_populate_recordset(NULL::batches, $1::json)

-- name: all
SELECT to_json(batches) FROM batches WHERE tenant = $1
