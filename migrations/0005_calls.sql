-- Why: how many calls of a vendor's credential are spent, so that its limits hold across restarts and several daemons.

-- Calls are put on record a block at a time, before they leave. `counted_at`: later than that the vendor counts none
-- of them. `credential` is a digest; the holder is one start of a daemon.
CREATE TABLE toveis.calls (
    credential text        NOT NULL,
    holder     uuid        NOT NULL,
    block      integer     NOT NULL,
    calls      integer     NOT NULL,
    counted_at timestamptz NOT NULL,
    PRIMARY KEY (credential, holder, block)
);

GRANT SELECT, INSERT, UPDATE, DELETE ON toveis.calls TO toveis_daemon;
