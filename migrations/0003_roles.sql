-- Why: the daemon may read and extend the log, and nothing else. Every connection of a stage runs as this role.
-- Roles belong to the whole server, so another database on it may have made this one already.

DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'toveis_daemon') THEN
        CREATE ROLE toveis_daemon NOLOGIN;
    END IF;
EXCEPTION WHEN duplicate_object OR unique_violation THEN
    NULL; -- made at the same moment by another migration on this server
END
$$;

GRANT toveis_daemon TO CURRENT_USER;
GRANT USAGE ON SCHEMA toveis TO toveis_daemon;
GRANT SELECT, INSERT ON toveis.events TO toveis_daemon;
GRANT SELECT ON toveis.incarnation TO toveis_daemon;
GRANT SELECT, INSERT, UPDATE, DELETE ON toveis.checkpoints, toveis.cursors, toveis.reads TO toveis_daemon;
