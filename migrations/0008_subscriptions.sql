-- Why: the daemon registers its own webhook at Propstreet, which tells the secret only then; and how every vendor's
-- subscription is must outlive a restart. Nothing here is in the log: a secret must not be in what is kept for good.

-- What Propstreet signs with, per webhook that we made. Only the daemon's role and the owner can read it; a dump of the
-- database holds it.
CREATE TABLE toveis.credentials (
    tenant  text        NOT NULL,
    webhook text        NOT NULL,
    secret  text        NOT NULL,
    made_at timestamptz NOT NULL,
    PRIMARY KEY (tenant, webhook)
);

-- How a vendor's subscription is, since when, and how far the log was looked through for what it brought.
CREATE TABLE toveis.subscriptions (
    tenant    text        NOT NULL,
    vendor    text        NOT NULL,
    state     text        NOT NULL,
    since     timestamptz NOT NULL,
    looked_at timestamptz,
    sound_at  timestamptz,
    heard_at  timestamptz,
    mended_at timestamptz,
    mends     integer     NOT NULL,
    unheard   bigint      NOT NULL,
    position  bigint      NOT NULL,
    PRIMARY KEY (tenant, vendor)
);

GRANT SELECT, INSERT, UPDATE ON toveis.credentials, toveis.subscriptions TO toveis_daemon;
