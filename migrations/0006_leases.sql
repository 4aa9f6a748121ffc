-- Why: several daemons share the tenants. Whoever holds a tenant's lease runs its stages; every transaction of a stage
-- checks the epoch, so that a daemon that was paused meanwhile writes nothing any more.

-- `expires` is by this database's clock. Who takes a lease that is free or has expired raises the epoch. The epoch is
-- unique with the tenant so that raising it waits for transactions that checked it (FOR KEY SHARE), and renewing does not.
CREATE TABLE toveis.leases (
    tenant  text        NOT NULL PRIMARY KEY,
    holder  uuid        NOT NULL,
    epoch   bigint      NOT NULL,
    expires timestamptz NOT NULL,
    UNIQUE (tenant, epoch)
);

-- The daemons that live, also those that hold nothing yet, and the tenants that each would serve.
CREATE TABLE toveis.daemons (
    daemon  uuid        NOT NULL PRIMARY KEY,
    name    text        NOT NULL,
    tenants text[]      NOT NULL,
    expires timestamptz NOT NULL
);

GRANT SELECT, INSERT, UPDATE, DELETE ON toveis.leases, toveis.daemons TO toveis_daemon;
