-- Why: the event log is the only truth. One gapless, append-only sequence of facts per tenant.
-- Every key starts with tenant, so that the schema can be spread over machines by tenant unchanged.

CREATE SCHEMA IF NOT EXISTS toveis;

CREATE TABLE toveis.events (
    tenant         text        NOT NULL,
    position       bigint      NOT NULL,
    event_id       uuid        NOT NULL,
    stream         text        NOT NULL,
    version        integer     NOT NULL,
    type           text        NOT NULL,
    schema_version smallint    NOT NULL,
    origin         text        NOT NULL CHECK (origin IN ('vitec', 'propstreet', 'lead', 'toveis', 'operator')),
    occurred_at    timestamptz NOT NULL,
    recorded_at    timestamptz NOT NULL,
    causation_id   uuid,
    correlation_id uuid        NOT NULL,
    -- An observation holds the vendor's JSON as it was sent; json, unlike jsonb, keeps it byte for byte.
    data           json        NOT NULL,
    -- How an observation came to us; a decision has none.
    meta           json,
    PRIMARY KEY (tenant, position),
    UNIQUE (tenant, event_id),
    UNIQUE (tenant, stream, version)
);

CREATE FUNCTION toveis.refuse_change() RETURNS trigger
    LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the event log is append-only' USING ERRCODE = 'insufficient_privilege';
END
$$;

CREATE TRIGGER events_are_append_only
    BEFORE UPDATE OR DELETE ON toveis.events
    FOR EACH ROW EXECUTE FUNCTION toveis.refuse_change();

CREATE TRIGGER events_are_not_truncated
    BEFORE TRUNCATE ON toveis.events
    FOR EACH STATEMENT EXECUTE FUNCTION toveis.refuse_change();
