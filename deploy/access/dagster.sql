-- Roles of Dagster's database. Run as its owner's superuser, once the owner has opened it
-- (`lakeloom upgrade` makes and migrates the tables), with `psql --set ON_ERROR_STOP=1`.
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
CREATE ROLE lakeloom_dagster LOGIN;
CREATE ROLE lakeloom_watcher LOGIN;
GRANT USAGE ON SCHEMA public TO lakeloom_dagster, lakeloom_watcher;
-- Webserver, daemon, code location and runs write history; migrations are the owner's.
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO lakeloom_dagster;
GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO lakeloom_dagster;
-- The exporter reads.
GRANT SELECT ON ALL TABLES IN SCHEMA public TO lakeloom_watcher;
