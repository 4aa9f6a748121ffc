-- name: secrets
SELECT webhook, secret FROM credentials WHERE tenant = $1 ORDER BY made_at DESC, webhook

-- name: keep_secret
INSERT INTO credentials (tenant, webhook, secret, made_at) VALUES ($1, $2, $3, $4)
    ON CONFLICT (tenant, webhook) DO UPDATE SET secret = excluded.secret, made_at = excluded.made_at

-- name: healths
SELECT vendor, state, since, looked_at, sound_at, heard_at, mended_at, mends, unheard, position
  FROM subscriptions WHERE tenant = $1 ORDER BY vendor

-- name: keep_health
INSERT INTO subscriptions (tenant, vendor, state, since, looked_at, sound_at, heard_at, mended_at, mends, unheard, position)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
    ON CONFLICT (tenant, vendor) DO UPDATE
   SET state = excluded.state, since = excluded.since, looked_at = excluded.looked_at, sound_at = excluded.sound_at,
       heard_at = excluded.heard_at, mended_at = excluded.mended_at, mends = excluded.mends,
       unheard = excluded.unheard, position = excluded.position

-- name: deliveries
SELECT max(recorded_at) FILTER (WHERE meta ->> 'via' = 'webhook') AS heard_at,
       -- what a poll found that nobody had told; older edits, of when nobody listened, do not count
       count(*) FILTER (WHERE meta ->> 'via' = 'poll' AND occurred_at > $5
                          AND split_part(stream, ':', 1) IN ('contact', 'company', 'project')) AS polled
  FROM events
 WHERE tenant = $1 AND origin = $2 AND position > $3 AND position <= $4 AND meta IS NOT NULL
