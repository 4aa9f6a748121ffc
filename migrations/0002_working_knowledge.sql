-- Why: what the stages know beside the log. Losing it costs reads, never facts.

-- How far each processor has come. The projector's own checkpoint lives with its views.
CREATE TABLE toveis.checkpoints (
    tenant    text   NOT NULL,
    processor text   NOT NULL,
    position  bigint NOT NULL,
    PRIMARY KEY (tenant, processor)
);

-- How far each poll has come. `complete` is the log's head when the newest complete poll was sent.
CREATE TABLE toveis.cursors (
    tenant     text        NOT NULL,
    source     text        NOT NULL,
    cursor     text,
    complete   bigint,
    started_at timestamptz NOT NULL,
    looked_at  timestamptz,
    PRIMARY KEY (tenant, source)
);

-- When each record was last read, as an interval of the log, and what a list last said of it.
CREATE TABLE toveis.reads (
    tenant    text   NOT NULL,
    stream    text   NOT NULL,
    started   bigint NOT NULL,
    ended     bigint NOT NULL,
    listed    text,
    listed_at timestamptz,
    read_at   timestamptz,
    PRIMARY KEY (tenant, stream)
);

-- A random mark of this database. A restored or copied one gets another, so that command ids never repeat.
CREATE TABLE toveis.incarnation (
    singleton boolean     NOT NULL PRIMARY KEY DEFAULT true CHECK (singleton),
    mark      uuid        NOT NULL DEFAULT gen_random_uuid(),
    since     timestamptz NOT NULL DEFAULT now()
);
INSERT INTO toveis.incarnation DEFAULT VALUES;
