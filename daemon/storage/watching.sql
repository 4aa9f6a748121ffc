-- name: commands
SELECT target, 'waiting' AS state, '' AS reason, count(*) AS commands
  FROM commands WHERE tenant = $1 AND state IN ('pending', 'unknown', 'flying') GROUP BY target
UNION ALL
SELECT target, state, coalesce(reason, ''), count(*)
  FROM commands WHERE tenant = $1 AND state IN ('held', 'dead') GROUP BY target, state, reason

-- name: entities
SELECT state -> 'hold' ->> 'reason' AS reason, count(*) AS entities FROM entities
 WHERE tenant = $1 AND state -> 'hold' ->> 'reason' IS NOT NULL AND state -> 'hold' ->> 'quiet' IS NULL
 GROUP BY 1
