-- Why: which vendor does not answer, so that `toveis status` can tell.

-- Working knowledge of the running daemon: a row while its breaker is open. Losing it costs nothing.
CREATE TABLE toveis.away (
    tenant    text        NOT NULL,
    vendor    text        NOT NULL,
    since     timestamptz NOT NULL,
    next_look timestamptz NOT NULL,
    PRIMARY KEY (tenant, vendor)
);

GRANT SELECT, INSERT, UPDATE, DELETE ON toveis.away TO toveis_daemon;
