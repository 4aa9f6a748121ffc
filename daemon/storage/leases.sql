-- name: beat
INSERT INTO daemons (daemon, name, tenants, expires) VALUES ($1, $2, $3, clock_timestamp() + $4::interval)
    ON CONFLICT (daemon) DO UPDATE SET name = excluded.name, tenants = excluded.tenants, expires = excluded.expires

-- name: renew
UPDATE leases SET expires = clock_timestamp() + $2::interval
  FROM unnest($3::text[], $4::bigint[]) AS held (tenant, epoch)
 WHERE leases.tenant = held.tenant AND leases.epoch = held.epoch AND leases.holder = $1
RETURNING leases.tenant

-- name: holders
SELECT tenant, holder FROM leases WHERE expires > clock_timestamp() ORDER BY tenant

-- name: living
SELECT daemon, tenants FROM daemons WHERE expires > clock_timestamp() ORDER BY daemon

-- name: take
INSERT INTO leases AS held (tenant, holder, epoch, expires) VALUES ($1, $2, 1, clock_timestamp() + $3::interval)
    ON CONFLICT (tenant) DO UPDATE
   SET holder = excluded.holder, epoch = held.epoch + 1, expires = clock_timestamp() + $3::interval
 WHERE held.expires <= clock_timestamp()
RETURNING epoch

-- name: held
SELECT holder, epoch FROM leases WHERE tenant = $1 FOR KEY SHARE

-- name: release
WITH released AS (
    UPDATE leases SET expires = clock_timestamp() WHERE tenant = $1 AND holder = $2 AND epoch = $3
)
SELECT pg_notify('toveis_leases', $1)

-- name: vacate
UPDATE leases SET expires = clock_timestamp()
 WHERE (holder = $1 OR $2) AND tenant <> ALL ($3::text[]) AND expires > clock_timestamp()

-- name: leave
DELETE FROM daemons WHERE daemon = $1 OR expires < clock_timestamp() - interval '1 day'

-- name: others
SELECT EXISTS (SELECT FROM leases WHERE holder <> $1 AND expires > clock_timestamp())

-- name: of_tenant
SELECT leases.holder, daemons.name, leases.epoch, leases.expires, leases.expires > clock_timestamp() AS live
  FROM leases LEFT JOIN daemons ON daemons.daemon = leases.holder
 WHERE leases.tenant = $1
