-- name: server
SELECT current_setting('server_version_num')::int AS number, current_setting('server_version') AS version,
       pg_database_size(current_database()) AS size, pg_encoding_to_char(encoding) AS encoding
  FROM pg_database WHERE datname = current_database()

-- name: guard
SELECT coalesce((SELECT pg_has_role(current_user, oid, 'MEMBER') FROM pg_roles WHERE rolname = 'toveis_daemon'), false)
           AS member,
       ARRAY(SELECT privilege FROM pg_roles, unnest(ARRAY['UPDATE', 'DELETE', 'TRUNCATE']) AS privilege
              WHERE rolname = 'toveis_daemon' AND has_table_privilege(oid, 'toveis.events', privilege)) AS may,
       (SELECT count(*) FROM pg_trigger
         WHERE tgrelid = 'toveis.events'::regclass AND tgenabled IN ('O', 'A')
           AND tgname IN ('events_are_append_only', 'events_are_not_truncated')) AS triggers

-- name: newest
SELECT count(*) AS events, coalesce(max(position) - min(position) + 1, 0) AS places
  FROM (SELECT position FROM toveis.events WHERE tenant = $1 ORDER BY position DESC LIMIT 1000) AS newest
