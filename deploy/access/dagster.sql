-- Roles of Dagster's database. Run by psql as its owner's superuser (databases.sh does), once the owner
-- has opened it (`lakeloom upgrade --only-missing` makes the tables), and again after each upgrade.
REVOKE ALL ON DATABASE :"DBNAME" FROM PUBLIC;
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
SELECT 'CREATE ROLE lakeloom_dagster LOGIN' WHERE to_regrole('lakeloom_dagster') IS NULL \gexec
SELECT 'CREATE ROLE lakeloom_watcher LOGIN' WHERE to_regrole('lakeloom_watcher') IS NULL \gexec
GRANT CONNECT ON DATABASE :"DBNAME" TO lakeloom_dagster, lakeloom_watcher;
GRANT USAGE ON SCHEMA public TO lakeloom_dagster, lakeloom_watcher;
-- Webserver, daemon, code location and runs write history; migrations are the owner's.
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO lakeloom_dagster;
GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO lakeloom_dagster;
-- The exporter reads.
GRANT SELECT ON ALL TABLES IN SCHEMA public TO lakeloom_watcher;
