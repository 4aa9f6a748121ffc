-- Why: most appends are webhooks, which expect nothing of a stream. For them the lock, the look at the head, and the
-- insert are one round trip. Every statement of a volatile function sees what was committed before it began, so the
-- rule holds here too: first the lock, then the head, then head+1…n.

CREATE FUNCTION toveis.append(
    of_tenant text, at timestamptz, shape smallint, ids uuid[], streams text[], types text[], origins text[],
    times timestamptz[], causes uuid[], correlations uuid[], contents json[], metas json[]
) RETURNS TABLE (id uuid, place bigint)
    LANGUAGE plpgsql VOLATILE
    -- A plan made while the log was small would look through all of it once it is large: plan anew each time, and
    -- never read more of the log than is named.
    SET plan_cache_mode = force_custom_plan
    SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
    AS $$
DECLARE
    head bigint;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('toveis.events.' || of_tenant, 0));
    SELECT coalesce(max(position), 0) INTO head FROM toveis.events WHERE tenant = of_tenant;
    RETURN QUERY
    WITH fresh AS (
        SELECT given.*, row_number() OVER (ORDER BY n) AS nth,
               row_number() OVER (PARTITION BY given.stream ORDER BY n) AS step
          FROM unnest(ids, streams, types, origins, times, causes, correlations, contents, metas) WITH ORDINALITY
            AS given (event_id, stream, type, origin, occurred_at, causation_id, correlation_id, data, meta, n)
         WHERE NOT EXISTS (SELECT FROM toveis.events e WHERE e.tenant = of_tenant AND e.event_id = given.event_id)
    ), base AS (
        SELECT named.stream, coalesce((SELECT e.version FROM toveis.events e
                                        WHERE e.tenant = of_tenant AND e.stream = named.stream
                                        ORDER BY e.version DESC LIMIT 1), 0) AS version
          FROM (SELECT DISTINCT fresh.stream FROM fresh) AS named
    )
    INSERT INTO toveis.events (tenant, position, event_id, stream, version, type, schema_version, origin,
                               occurred_at, recorded_at, causation_id, correlation_id, data, meta)
    SELECT of_tenant, head + nth, fresh.event_id, fresh.stream, base.version + step, fresh.type, shape, fresh.origin,
           fresh.occurred_at, at, fresh.causation_id, fresh.correlation_id, fresh.data, fresh.meta
      FROM fresh JOIN base USING (stream)
     ORDER BY n
    RETURNING events.event_id, events.position;
    PERFORM pg_notify('toveis', of_tenant);
END
$$;
